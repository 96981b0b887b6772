import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useMemo, useState } from 'react'

import { draftsQuery, vocabularyQuery } from '../../api/queries'
import type { Definition, RuleSet, RuleSetHead, SavedDraftDetail, Session } from '../../api/types'
import { ConfirmDialog } from '../../components/ConfirmDialog'
import { Notice } from '../../components/Notice'
import { useAuthorName } from '../../lib/author'
import { count } from '../../lib/format'
import { readable } from '../../rules/cel'
import { countChanges, diff } from '../../rules/diff'
import { findAction, otherwiseKey, type Draft } from '../../rules/draft'
import { mayChange } from '../../rules/steps'
import { ActionNav } from './ActionNav'
import { ActionView } from './ActionView'
import { DraftBar, PublishedBar } from './DraftBar'
import { DraftPage } from './DraftPage'
import { DraftsView } from './DraftsView'
import { FieldsView } from './FieldsView'
import { HistoryView } from './HistoryView'
import { PublishDialog } from './PublishDialog'
import { SaveDialog } from './SaveDialog'
import { viewOf, type RulesSearch } from './search'
import { useCheck } from './useCheck'
import { useDraft } from './useDraft'
import { VersionPage } from './VersionPage'
import classes from './rules.module.css'

/** The action that the address means: by key, else the one that holds the rule, else the first. */
function chosenAction(draft: Draft, search: RulesSearch) {
  const named = search.action === undefined ? undefined : findAction(draft, search.action)
  const all = [...draft.actions, draft.otherwise]
  if (search.rule !== undefined && named?.rules.some(({ key }) => key === search.rule) !== true) {
    const holder = all.find((action) => action.rules.some(({ key }) => key === search.rule))
    if (holder !== undefined) return holder
  }
  return named ?? (search.action !== undefined ? draft.otherwise : all[0]) ?? draft.otherwise
}

export function Workbench({ inForce, operator }: { inForce: RuleSet; operator: Session['operator'] }) {
  const readOnly = !mayChange(operator)
  const search = useSearch({ from: '/inside/rules' })
  const navigate = useNavigate({ from: '/rules' })
  const state = useDraft(inForce)
  const { draft, dispatch } = state
  const check = useCheck(draft)
  const authorName = useAuthorName()
  const vocabulary = useQuery(vocabularyQuery)
  const facts = useMemo(() => readable(vocabulary.data ?? [], draft.fields), [vocabulary.data, draft.fields])
  // Somebody else may save, approve or delete one while this page is open.
  const drafts = useQuery({ ...draftsQuery, refetchInterval: 10_000 })
  const approvalRequired = drafts.data?.approvalRequired === true
  const [dialog, setDialog] = useState<'publish' | 'save'>()
  const [taking, setTaking] = useState<{ draft: SavedDraftDetail; original: Definition }>()
  const [published, setPublished] = useState<RuleSetHead>()

  const go = useCallback((to: RulesSearch, replace = false) => void navigate({ search: () => to, replace }), [navigate])
  const action = chosenAction(draft, search)
  const view = viewOf(search)
  const single = search.draft !== undefined || search.set !== undefined
  const overtaken = !single && draft.base !== inForce.number && state.changes > 0

  const take = ({ id, revision, title, base, definition }: SavedDraftDetail, original: Definition) => {
    dispatch({ type: 'take', base, original, definition, source: { id, revision, title } })
    setTaking(undefined)
    go({})
  }
  const edit = (wanted: SavedDraftDetail, original: Definition) => {
    if (state.changes === 0) take(wanted, original)
    else if (draft.source?.id === wanted.id && draft.source.revision === wanted.revision) go({})
    else setTaking({ draft: wanted, original })
  }
  const show = (head: RuleSetHead) => {
    setDialog(undefined)
    setPublished(head)
  }

  return (
    <div className={classes.page}>
      <ActionNav
        draft={draft}
        problems={check.problems}
        chosen={view ?? action.key}
        readOnly={readOnly}
        drafts={drafts.data?.drafts.length}
        onChoose={(key) => go({ action: key })}
        onView={(to) => go({ view: to })}
        onAdd={(code) => {
          dispatch({ type: 'action/add', code })
          go({ action: draft.actions.find((each) => each.code === code)?.key ?? `action-${draft.counter}` })
        }}
      />
      <div className={classes.content}>
        {search.draft !== undefined ?
          <DraftPage
            key={search.draft}
            id={search.draft}
            inForce={inForce}
            operator={operator}
            onEdit={edit}
            onPublished={(head) => {
              show(head)
              go({ view: 'history' })
            }}
            onDeleted={() => go({ view: 'drafts' })}
          />
        : search.set !== undefined ?
          <VersionPage
            key={search.set}
            number={Number(search.set)}
            inForce={inForce}
            readOnly={readOnly}
            onPublished={(head) => {
              show(head)
              go({ view: 'history' })
            }}
          />
        : <div className={classes.column}>
            {readOnly && <Notice>You can read the rules. Changing them needs the role of an analyst.</Notice>}
            {overtaken && (
              <Notice tone="warning" title={`Set ${inForce.number} was published by ${authorName(inForce.author)} while set ${draft.base} was edited here.`}>
                It changed {count(countChanges(diff(draft.original, inForce.definition)), 'thing')}. When you go on, you see what your version would change
                in it.
              </Notice>
            )}
            {view === 'drafts' ?
              <DraftsView readOnly={readOnly} />
            : view === 'history' ?
              <HistoryView inForce={inForce.number} />
            : view === 'fields' ?
              <FieldsView draft={draft} problems={check.problems} readOnly={readOnly} dispatch={dispatch} />
            : <ActionView
                key={action.key}
                action={action}
                draft={draft}
                check={check}
                facts={facts}
                vocabulary={vocabulary.data ?? []}
                opened={search.rule}
                readOnly={readOnly}
                dispatch={dispatch}
                onOpen={(rule) => go(rule === undefined ? { action: action.key } : { action: action.key, rule }, true)}
                onRemoved={() => go({ action: otherwiseKey }, true)}
              />
            }
          </div>
        }
        {state.changes > 0 && !readOnly && !single && (
          <DraftBar
            state={state}
            check={check}
            approvalRequired={approvalRequired}
            onPlace={(place) => go(place)}
            onSave={() => setDialog('save')}
            onReview={() => setDialog('publish')}
          />
        )}
        {published !== undefined && !single && (state.changes === 0 || view === 'history') && (
          <PublishedBar number={published.number} onClose={() => setPublished(undefined)} />
        )}
      </div>
      <PublishDialog opened={dialog === 'publish'} onClose={() => setDialog(undefined)} inForce={inForce} state={state} check={check} onPublished={show} />
      <SaveDialog
        opened={dialog === 'save'}
        onClose={() => setDialog(undefined)}
        inForce={inForce}
        state={state}
        check={check}
        approvalRequired={approvalRequired}
        onSaved={(head) => {
          setDialog(undefined)
          dispatch({ type: 'load', base: inForce.number, definition: inForce.definition })
          go({ draft: head.id })
        }}
      />
      <ConfirmDialog
        opened={taking !== undefined}
        title="Edit the draft"
        action="Edit the draft"
        onClose={() => setTaking(undefined)}
        onConfirm={() => taking !== undefined && take(taking.draft, taking.original)}
      >
        <p>
          You have {count(state.changes, 'unpublished change')} in the editor. The draft takes their place; Undo brings them back.
        </p>
      </ConfirmDialog>
    </div>
  )
}
