import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'

import { answerOf, api } from '../../api/client'
import { definitionOf, type Draft } from '../../rules/draft'
import { placeAll, type Placed } from '../../rules/problems'

const restMs = 350

export interface Check {
  problems: readonly Placed[]
  /** The draft that the problems were found in; undefined before the first answer. */
  checked: Draft | undefined
  /** The answer is about the draft as it is now. */
  isCurrent: boolean
  error: unknown
}

/** Asks the server what is wrong with the draft, once typing rests. */
export function useCheck(draft: Draft): Check {
  const [rested] = useDebouncedValue(draft, restMs)
  const definition = useMemo(() => definitionOf(rested), [rested])
  const check = useQuery({
    queryKey: ['rules', 'check', definition],
    queryFn: async ({ signal }) => ({
      draft: rested,
      problems: (await answerOf(api.POST('/rules/check', { body: definition, signal }))).problems,
    }),
    staleTime: Infinity,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
  })
  const answer = check.data
  const problems = useMemo(() => (answer === undefined ? [] : placeAll(answer.problems, answer.draft)), [answer])
  return { problems, checked: answer?.draft, isCurrent: rested === draft && check.isSuccess && !check.isPlaceholderData, error: check.error }
}
