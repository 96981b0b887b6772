import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'

import { ApiError, isSignedOut } from './client'
import { sessionQuery } from './queries'

// A session that ends while the console is open brings the sign-in page up in
// place: the address, and with it every filter, stays.
const noticeSignOut = (error: unknown) => {
  if (isSignedOut(error)) queryClient.setQueryData(sessionQuery.queryKey, null)
}

export const queryClient: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noticeSignOut }),
  mutationCache: new MutationCache({ onError: noticeSignOut }),
  defaultOptions: {
    queries: {
      // What the server refuses, it refuses again; only silence and its own faults are worth another try.
      retry: (failures, error) => failures < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
      retryDelay: (failures) => 500 * 2 ** failures,
      // The server is often on the same machine, where "offline" says nothing.
      networkMode: 'always',
    },
    mutations: { networkMode: 'always' },
  },
})
