/** A client of farewell. */
import { connect } from '../../../lib/index.ts'
import { connects, host, maxMessage } from '../host.ts'
import { serviceOf } from './service.ts'

connects(async (port) => {
  const connection = await connect(`ws://${host}:${port}`, { maxMessageSize: maxMessage })
  const { message, closed } = serviceOf({
    send: (data) => connection.send(data),
    close: () => void connection.close(),
  })
  connection.on('message', message)
  connection.on('close', closed)
})
