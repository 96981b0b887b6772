import { tokens } from '../../rules/cel'

/** A condition in colours, to read. */
export function CelText({ text, className }: { text: string; className?: string | undefined }) {
  return (
    <code className={className}>
      {tokens(text).map((token, i) =>
        token.kind === 'space' ? ' ' : (
          <span key={i} className={`cel-${token.kind}`}>
            {token.text}
          </span>
        ),
      )}
    </code>
  )
}
