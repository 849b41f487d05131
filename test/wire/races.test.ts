/**
 * K6, E4: what both sides may call, in every order and at every moment, listeners included. Ten thousand schedules from one
 * seed; `FAREWELL_SEED=7 FAREWELL_SCHEDULES=1` replays the one that a failure names.
 */
import t from 'tap'
import { Buffer } from 'node:buffer'
import { Connection, ConnectionClosedError, type CloseInfo, type ConnectionState, type Role } from '../../lib/index.ts'
import { FakeTimers } from '../help/fake-timers.ts'
import { MemorySocket } from '../help/memory-pair.ts'
import { FrameRecord, lineOf } from './raw-peer.ts'
import { turns, watchProcess } from './watch.ts'
