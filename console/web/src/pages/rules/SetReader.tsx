import { NativeSelect } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'

import { vocabularyQuery } from '../../api/queries'
import type { Definition } from '../../api/types'
import { readable } from '../../rules/cel'
import { draftOf, findAction, otherwiseKey } from '../../rules/draft'
import { actionTitle } from './ActionNav'
import { ActionView } from './ActionView'
import classes from './Drafts.module.css'

const unchecked = { problems: [], checked: undefined, isCurrent: true, error: null }
const nothing = () => {}

/** The rules of a set that is not being edited. */
export function SetReader({ number, definition }: { number: number; definition: Definition }) {
  const draft = useMemo(() => draftOf(number, definition), [number, definition])
  const vocabulary = useQuery(vocabularyQuery)
  const facts = useMemo(() => readable(vocabulary.data ?? [], draft.fields), [vocabulary.data, draft.fields])
  const [chosen, setChosen] = useState(draft.actions[0]?.key ?? otherwiseKey)
  const [rule, setRule] = useState<string>()
  const action = findAction(draft, chosen) ?? draft.otherwise
  return (
    <div className={classes.reader}>
      <NativeSelect
        label="Action"
        value={action.key}
        data={[...draft.actions, draft.otherwise].map((each) => ({ value: each.key, label: `${actionTitle(each)} (${each.rules.length})` }))}
        onChange={(event) => setChosen(event.currentTarget.value)}
      />
      <ActionView
        key={action.key}
        heading="h2"
        action={action}
        draft={draft}
        check={unchecked}
        facts={facts}
        vocabulary={vocabulary.data ?? []}
        opened={rule}
        readOnly
        dispatch={nothing}
        onOpen={setRule}
        onRemoved={nothing}
      />
    </div>
  )
}
