import { queryOptions } from '@tanstack/react-query'

import { answerOf, api, isSignedOut, rememberCsrf } from './client'
import type { DecisionQuery, Session } from './types'

/** Who is signed in, or null. */
export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      const session = await answerOf(api.GET('/session', { signal }))
      rememberCsrf(session.csrf)
      return session
    } catch (error) {
      if (isSignedOut(error)) return null
      throw error
    }
  },
  staleTime: 5 * 60_000,
})

/** What colleagues are called, by id. */
export const namesQuery = queryOptions({
  queryKey: ['operators'],
  queryFn: async ({ signal }) => Object.fromEntries((await answerOf(api.GET('/operators', { signal }))).operators.map(({ id, name }) => [id, name])),
  staleTime: 60_000,
})

export const statusQuery = queryOptions({
  queryKey: ['status'],
  queryFn: ({ signal }) => answerOf(api.GET('/status', { signal })),
  refetchInterval: 10_000,
})

export const rulesQuery = queryOptions({
  queryKey: ['rules'],
  queryFn: ({ signal }) => answerOf(api.GET('/rules', { signal })),
  staleTime: 30_000,
})

export const versionsQuery = queryOptions({
  queryKey: ['rules', 'versions'],
  queryFn: async ({ signal }) => (await answerOf(api.GET('/rules/versions', { signal }))).versions,
})

/** One published set. It never changes. */
export const versionQuery = (number: number) =>
  queryOptions({
    queryKey: ['version', number],
    queryFn: ({ signal }) => answerOf(api.GET('/rules/version', { params: { query: { number } }, signal })),
    staleTime: Infinity,
  })

/** All drafts without their definitions, what they are compared with, and whether they need approval. */
export const draftsQuery = queryOptions({
  queryKey: ['drafts'],
  queryFn: ({ signal }) => answerOf(api.GET('/drafts', { signal })),
})

/** One revision of a draft. It stays as it was read until somebody asks for the newer one: nobody shall approve what they have not seen. */
export const draftQuery = (id: string) =>
  queryOptions({
    queryKey: ['draft', id],
    queryFn: ({ signal }) => answerOf(api.GET('/draft', { params: { query: { id } }, signal })),
    staleTime: Infinity,
    gcTime: 0,
  })

export const draftCheckQuery = (id: string, revision: number) =>
  queryOptions({
    queryKey: ['draft', id, revision, 'check'],
    queryFn: ({ signal }) => answerOf(api.POST('/drafts/check', { body: { id }, signal })),
    refetchOnWindowFocus: false,
  })

export const draftTestQuery = (id: string, revision: number) =>
  queryOptions({
    queryKey: ['draft', id, revision, 'test'],
    queryFn: ({ signal }) => answerOf(api.POST('/drafts/test', { body: { id }, signal })),
    refetchOnWindowFocus: false,
  })

/** The built-in facts. They change only with the server's version. */
export const vocabularyQuery = queryOptions({
  queryKey: ['vocabulary'],
  queryFn: async ({ signal }) => (await answerOf(api.GET('/vocabulary', { signal }))).facts,
  staleTime: Infinity,
})

export const fetchDecisions = (query: DecisionQuery, signal: AbortSignal) =>
  answerOf(api.GET('/decisions', { params: { query }, signal }))

/** Whether anything has ever been tracked. */
export const anyDecisionQuery = queryOptions({
  queryKey: ['decisions', 'any'],
  queryFn: async ({ signal }) => (await fetchDecisions({ limit: 1 }, signal)).decisions.length > 0,
})

/** What names one tracked action. */
export interface DecisionId {
  user: string
  action: string
  key: string
}

export const decisionQuery = (id: DecisionId) =>
  queryOptions({
    queryKey: ['decision', id.user, id.action, id.key],
    queryFn: ({ signal }) => answerOf(api.GET('/decision', { params: { query: { user: id.user, action: id.action, key: id.key } }, signal })),
  })
