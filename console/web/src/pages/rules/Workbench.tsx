import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useMemo, useState } from 'react'

import { vocabularyQuery } from '../../api/queries'
import type { RuleSet, RuleSetHead } from '../../api/types'
import { Notice } from '../../components/Notice'
import { useAuthorName } from '../../lib/author'
import { count } from '../../lib/format'
import { readable } from '../../rules/cel'
import { countChanges, diff } from '../../rules/diff'
import { findAction, otherwiseKey, type Draft } from '../../rules/draft'
import { ActionNav } from './ActionNav'
import { ActionView } from './ActionView'
import { DraftBar, PublishedBar } from './DraftBar'
import { FieldsView } from './FieldsView'
import { HistoryView } from './HistoryView'
import { PublishDialog } from './PublishDialog'
import type { RulesSearch } from './search'
import { useCheck } from './useCheck'
import { useDraft } from './useDraft'
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

export function Workbench({ inForce, readOnly }: { inForce: RuleSet; readOnly: boolean }) {
  const search = useSearch({ from: '/inside/rules' })
  const navigate = useNavigate({ from: '/rules' })
  const state = useDraft(inForce)
  const { draft, dispatch } = state
  const check = useCheck(draft)
  const authorName = useAuthorName()
  const vocabulary = useQuery(vocabularyQuery)
  const facts = useMemo(() => readable(vocabulary.data ?? [], draft.fields), [vocabulary.data, draft.fields])
  const [publishing, setPublishing] = useState(false)
  const [published, setPublished] = useState<RuleSetHead>()

  const go = useCallback((to: RulesSearch, replace = false) => void navigate({ search: () => to, replace }), [navigate])
  const action = chosenAction(draft, search)
  const overtaken = draft.base !== inForce.number && state.changes > 0

  return (
    <div className={classes.page}>
      <ActionNav
        draft={draft}
        problems={check.problems}
        chosen={search.view ?? action.key}
        readOnly={readOnly}
        onChoose={(key) => go({ action: key })}
        onView={(view) => go({ view })}
        onAdd={(code) => {
          dispatch({ type: 'action/add', code })
          go({ action: draft.actions.find((each) => each.code === code)?.key ?? `action-${draft.counter}` })
        }}
      />
      <div className={classes.content}>
        <div className={classes.column}>
          {readOnly && <Notice>You can read the rules. Publishing needs the role of an analyst.</Notice>}
          {overtaken && (
            <Notice tone="warning" title={`Set ${inForce.number} was published by ${authorName(inForce.author)} while you were editing set ${draft.base}.`}>
              It changed {count(countChanges(diff(draft.original, inForce.definition)), 'thing')}. When you publish, you see what your version would change in
              it.
            </Notice>
          )}
          {search.view === 'history' ?
            <HistoryView inForce={inForce.number} />
          : search.view === 'fields' ?
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
        {state.changes > 0 && !readOnly && (
          <DraftBar state={state} check={check} onPlace={(place) => go(place)} onReview={() => setPublishing(true)} />
        )}
        {published !== undefined && state.changes === 0 && <PublishedBar number={published.number} onClose={() => setPublished(undefined)} />}
      </div>
      <PublishDialog
        opened={publishing}
        onClose={() => setPublishing(false)}
        inForce={inForce}
        state={state}
        check={check}
        onPublished={(head) => {
          setPublishing(false)
          setPublished(head)
        }}
      />
    </div>
  )
}
