/** The fuzzer's command line: see `command.ts`, or run it with --help. */
import { argv, exit } from 'node:process'
import { fuzz } from './command.ts'
import { frameTargets } from './frames.ts'

exit(fuzz(argv.slice(2), frameTargets(), console.log))
