// harness/globals.mjs: what the clients expect of browsers and of newer Nodes, for Node 18, which has
// it only in modules. To be imported before them.
import * as buffer from 'node:buffer'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto
globalThis.File ??= buffer.File
