// harness/copies.mjs: a backup: a directory as it was, put back later. Whoever uses it must not run.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { scratchDirectory } from './processes.mjs'

/** Copies `directory`; returns what restore() needs. */
export function save(directory) {
  const copy = join(scratchDirectory('copy'), 'saved')
  execFileSync('cp', ['-a', directory, copy])
  return { directory, copy }
}

export function restore({ directory, copy }) {
  rmSync(directory, { recursive: true })
  execFileSync('cp', ['-a', copy, directory])
}
