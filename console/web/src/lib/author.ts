import { useQuery } from '@tanstack/react-query'

import { sessionQuery } from '../api/queries'
import { authorName } from './words'

/** Names authors as the one who is signed in should read them. */
export function useAuthorName(): (author: string) => string {
  const session = useQuery(sessionQuery)
  return (author) => authorName(author, session.data?.operator)
}
