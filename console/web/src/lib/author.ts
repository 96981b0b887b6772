import { useQuery } from '@tanstack/react-query'

import { namesQuery, sessionQuery } from '../api/queries'
import { authorName } from './words'

/** Names authors as the one who is signed in should read them. */
export function useAuthorName(): (author: string) => string {
  const session = useQuery(sessionQuery)
  const names = useQuery(namesQuery)
  return (author) => authorName(author, session.data?.operator, names.data)
}
