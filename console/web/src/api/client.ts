import createClient, { type Middleware } from 'openapi-fetch'

import { prefix } from '../lib/prefix'
import type { paths } from './schema'
import type { Problem } from './types'

/** A refusal by the server, or no answer at all (status 0). */
export class ApiError extends Error {
  override readonly name = 'ApiError'

  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly requestId: string | undefined,
    readonly details: readonly Problem[],
  ) {
    super(message)
  }
}

/** Whether error says that nobody is signed in any more. */
export const isSignedOut = (error: unknown): boolean => error instanceof ApiError && error.status === 401

let csrf = ''

/** Keeps the token that every changing call must carry. The session query sets it. */
export const rememberCsrf = (token: string): void => {
  csrf = token
}

const changing: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && csrf !== '') request.headers.set('X-Sallyport-CSRF', csrf)
  },
}

export const api = createClient<paths>({ baseUrl: `${prefix}/api`, credentials: 'same-origin' })
api.use(changing)

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/**
 * Waits for a call and returns its data. It throws an ApiError when the server
 * refuses, when it cannot be reached and when something between answers for it.
 */
export async function answerOf<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await call
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause
    throw new ApiError('Sallyport does not answer. Check that it is running and that you are online.', 0, 'unreachable', undefined, [])
  }
  const { data, error, response } = answer
  if (response.ok && data !== undefined) return data

  const body: Partial<Record<string, unknown>> = typeof error === 'object' && error !== null ? error : {}
  const text = typeof body.errorDescription === 'string' && body.errorDescription !== '' ? body.errorDescription : undefined
  throw new ApiError(
    text ?? `The server answered with status ${response.status}.`,
    response.status,
    typeof body.errorCode === 'string' ? body.errorCode : 'unknown',
    typeof body.requestId === 'string' ? body.requestId : undefined,
    Array.isArray(body.details) ? (body.details as Problem[]) : [],
  )
}
