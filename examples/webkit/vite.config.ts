import { sveltekit } from '@sveltejs/kit/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [sveltekit()],
  // The shared worker is a module: it imports the same files as the pages do.
  worker: { format: 'es' },
})
