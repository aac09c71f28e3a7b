// harness/nginx.mjs: a real nginx as a cache in front of a Busbar, configured as one would for it:
// every parameter in the key, concurrent equal requests collapsed, the response's own rules obeyed.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { ended, freePort, scratchDirectory, track, until, within } from './processes.mjs'

function findBinary() {
  const found = [...(process.env.PATH ?? '').split(':'), '/usr/sbin'].map((directory) => join(directory, 'nginx'))
  const binary = found.find((path) => existsSync(path))
  if (!binary) throw new Error('no nginx found; install nginx-light')
  return binary
}

// Without a master process, because its children would outlive it if it were killed.
const configuration = (directory, port, upstream) => `
daemon off;
master_process off;
pid ${directory}/pid;
error_log ${directory}/error.log warn;
worker_rlimit_nofile 4096;
events { worker_connections 4000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  proxy_cache_path ${directory}/cache levels=1:2 keys_zone=shapes:10m inactive=10m use_temp_path=off;
  keepalive_requests 1000000;

  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_read_timeout 60s;

  server {
    listen 127.0.0.1:${port} backlog=2000;
    location / {
      if ($arg_live_sse) { return 418; }
      error_page 418 = @events;
      proxy_pass http://127.0.0.1:${upstream};
      proxy_cache shapes;
      proxy_cache_key $request_uri;
      proxy_cache_methods GET HEAD;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 40s;
      proxy_cache_lock_age 40s;
      proxy_cache_revalidate on;
      proxy_cache_background_update on;
      # "updating" is left to the response's stale-while-revalidate.
      proxy_cache_use_stale error timeout http_502 http_503 http_504;
      add_header x-cache $upstream_cache_status always;
    }
    # An event stream is for one reader, and must not be held back.
    location @events {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_buffering off;
    }
  }
}
`

/** Starts an nginx before that Busbar; it ends with the test file. Returns {port, url, shapeUrl}. */
export async function stageNginx(server) {
  const directory = scratchDirectory('nginx')
  const port = await freePort()
  const file = join(directory, 'nginx.conf')
  writeFileSync(file, configuration(directory, port, server.port))
  const child = track(
    spawn(findBinary(), ['-p', directory, '-c', file, '-e', join(directory, 'error.log')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text))
  const gone = ended(child)
  after(async () => {
    child.kill('SIGKILL')
    await within(gone, 10_000, 'nginx to end')
  })
  const log = () =>
    `${said}${existsSync(join(directory, 'error.log')) ? readFileSync(join(directory, 'error.log')) : ''}`
  const url = `http://127.0.0.1:${port}`
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`nginx ended: ${log()}`)
      return fetch(`${url}/v1/health`).then(
        (response) => response.ok,
        () => false,
      )
    },
    () => `nginx to answer: ${log()}`,
  )
  return { port, url, shapeUrl: `${url}/v1/shape`, log }
}
