import adapter from '@sveltejs/adapter-node'
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

/** @type {import('@sveltejs/kit').Config} */
export default {
  preprocess: vitePreprocess(),
  kit: {
    adapter: adapter(),
    csp: {
      directives: {
        'default-src': ['self'],
        'img-src': ['self', 'data:'],
        // Svelte writes style attributes (the width of a bar) into the server's HTML.
        'style-src': ['self', 'unsafe-inline'],
        'frame-ancestors': ['none'],
        'form-action': ['self'],
        'base-uri': ['none'],
      },
    },
  },
}
