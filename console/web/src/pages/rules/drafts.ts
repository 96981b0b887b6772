// What the pages about drafts ask the server to do.

import { useMutation, useQueryClient, type QueryClient } from '@tanstack/react-query'

import { answerOf, api, ApiError } from '../../api/client'
import { draftQuery, draftsQuery, rulesQuery, versionsQuery } from '../../api/queries'
import type { Definition, RuleSetHead, SavedDraft, SavedDraftDetail } from '../../api/types'

/** Puts what the server said about a draft where the pages read it. */
function keep(client: QueryClient, head: SavedDraft): void {
  client.setQueryData(draftsQuery.queryKey, (list) =>
    list === undefined ? undefined : { ...list, drafts: [head, ...list.drafts.filter(({ id }) => id !== head.id)] },
  )
  client.setQueryData(draftQuery(head.id).queryKey, (detail) => (detail?.revision === head.revision ? { ...detail, ...head } : detail))
}

function forget(client: QueryClient, id: string): void {
  client.setQueryData(draftsQuery.queryKey, (list) => (list === undefined ? undefined : { ...list, drafts: list.drafts.filter((draft) => draft.id !== id) }))
}

// Somebody else may have moved things on: what this page shows is asked for again.
function look(client: QueryClient, error: unknown): void {
  if (error instanceof ApiError && [403, 404, 409].includes(error.status)) {
    void client.invalidateQueries({ queryKey: draftsQuery.queryKey })
    void client.invalidateQueries({ queryKey: rulesQuery.queryKey, exact: true })
  }
}

/** Takes over a set that was published from here. */
export function takeOver(client: QueryClient, head: RuleSetHead, definition: Definition): void {
  client.setQueryData(rulesQuery.queryKey, { ...head, definition })
  void client.invalidateQueries({ queryKey: versionsQuery.queryKey })
  void client.invalidateQueries({ queryKey: draftsQuery.queryKey })
}

export interface Save {
  /** The draft and the revision that were edited; undefined for a new draft. */
  source: { id: string; revision: number } | undefined
  title: string
  base: number
  definition: Definition
}

export function useSaveDraft(onSaved: (head: SavedDraft) => void) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ source, title, base, definition }: Save) =>
      answerOf(api.POST('/drafts/save', { body: { ...(source === undefined ? {} : { id: source.id, revision: source.revision }), title, base, definition } })),
    onSuccess: (head) => {
      keep(client, head)
      onSaved(head)
    },
    onError: (error) => look(client, error),
  })
}

export function useApproveDraft() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ id, revision }: SavedDraft) => answerOf(api.POST('/drafts/approve', { body: { id, revision } })),
    onSuccess: (head) => keep(client, head),
    onError: (error) => look(client, error),
  })
}

export function usePublishDraft(onPublished: (head: RuleSetHead) => void) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ draft, note }: { draft: SavedDraftDetail; note: string }) =>
      answerOf(api.POST('/drafts/publish', { body: { id: draft.id, revision: draft.revision, note } })),
    onSuccess: (head, { draft }) => {
      onPublished(head)
      forget(client, draft.id)
      takeOver(client, head, draft.definition)
    },
    onError: (error) => look(client, error),
  })
}

export function useDeleteDraft(onDeleted: () => void) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ id }: SavedDraft) => answerOf(api.POST('/drafts/delete', { body: { id } })),
    onSuccess: (_, { id }) => {
      onDeleted()
      forget(client, id)
    },
    onError: (error) => look(client, error),
  })
}
