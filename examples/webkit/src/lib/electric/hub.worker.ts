// The shared worker: one hub for all tabs of a session. Its name says which session, and how many
// connections it may hold; see client.ts.
import { Hub, type ToHub } from './hub'

const scope = self as unknown as { name: string; onconnect: (event: MessageEvent) => void }
const [, session = '', connections = '4'] = scope.name.split(' ')
const hub = new Hub({ url: '/api/electric', session, connections: Number(connections) })

scope.onconnect = (event) => {
  const port = event.ports[0]
  if (!port) return
  const receive = hub.attach((message) => port.postMessage(message))
  port.onmessage = ({ data }: MessageEvent<ToHub>) => {
    receive(data)
    // No event tells that a tab has crashed, but the lock that it holds becomes free then.
    if (data.kind === 'hello' && data.lock) {
      void navigator.locks.request(data.lock, () => receive({ kind: 'bye' }))
    }
  }
}
