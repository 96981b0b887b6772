import { Modal, Switch } from '@mantine/core'
import { Fragment } from 'react'

import { enableShortcuts, useAllShortcuts, useShortcutsEnabled } from '../lib/shortcuts'
import classes from './ShortcutHelp.module.css'

const keyNames: Readonly<Record<string, string>> = { Enter: 'Enter', Escape: 'Esc', ArrowUp: '↑', ArrowDown: '↓' }

/** The keys that work on this page, and the switch that turns them off. */
export function ShortcutHelp({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const enabled = useShortcutsEnabled()
  const all = useAllShortcuts().flat()
  const groups = [...new Set(all.map(({ group }) => group))]
  return (
    <Modal opened={opened} onClose={onClose} title="Keys" size="sm" closeButtonProps={{ 'aria-label': 'Close' }}>
      {groups.map((group) => (
        <Fragment key={group}>
          <h3 className={classes.group}>{group}</h3>
          <dl className={classes.list} data-off={!enabled || undefined}>
            {all
              .filter((shortcut) => shortcut.group === group)
              .map(({ keys, label }) => (
                <div key={keys} className={classes.row}>
                  <dt>{label}</dt>
                  <dd>
                    {keys.split(' ').map((key) => (
                      <kbd key={key}>{keyNames[key] ?? key}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
          </dl>
        </Fragment>
      ))}
      <Switch
        className={classes.switch}
        label="Single keys do something"
        description="Switch this off when you use speech input."
        checked={enabled}
        onChange={(event) => enableShortcuts(event.currentTarget.checked)}
      />
    </Modal>
  )
}
