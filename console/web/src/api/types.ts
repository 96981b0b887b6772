import type { components, operations } from './schema'

type Schemas = components['schemas']

export type Outcome = Schemas['Outcome']
export type State = Schemas['State']
export type Match = Schemas['Match']
export type Decision = Schemas['Decision']
export type DecisionPage = Schemas['DecisionPage']
export type DecisionDetail = Schemas['DecisionDetail']
export type FactValue = DecisionDetail['facts'][number]
export type Step = Schemas['Step']
export type Fact = Schemas['Fact']
export type Problem = Schemas['Problem']
export type Session = Schemas['Session']
export type Status = Schemas['Status']
export type Rule = Schemas['Rule']
export type ActionRules = Schemas['ActionRules']
export type Definition = Schemas['Definition']
export type Field = NonNullable<Definition['fields']>[number]
export type Metric = Schemas['Metric']
export type DeclaredList = Schemas['DeclaredList']
export type Test = Schemas['Test']
export type RuleSet = Schemas['RuleSet']
export type RuleSetHead = Schemas['RuleSetHead']
export type CeremonyOptions = Schemas['CeremonyOptions']
export type DecisionQuery = NonNullable<operations['decisions']['parameters']['query']>

export const outcomes: readonly Outcome[] = ['ALLOW', 'CHALLENGE', 'REVIEW', 'BLOCK']
