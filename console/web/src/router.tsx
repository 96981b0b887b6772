import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from '@tanstack/react-router'

import { prefix } from './lib/prefix'
import { parseSearch, stringifySearch } from './lib/search'
import { BrokenPage, LostPage } from './pages/LostPage'
import { RegisterPage } from './pages/access/RegisterPage'
import { DecisionsPage } from './pages/decisions/DecisionsPage'
import { readSearch, type DecisionsSearch } from './pages/decisions/filters'
import { readRulesSearch, type RulesSearch } from './pages/rules/search'
import { Shell } from './pages/Shell'

const root = createRootRoute({ notFoundComponent: LostPage })

const register = createRoute({ getParentRoute: () => root, path: 'register', component: RegisterPage })

// Everything below is for people who are signed in; Shell sees to it.
const inside = createRoute({ getParentRoute: () => root, id: 'inside', component: Shell })

const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/decisions', replace: true })
  },
})

const decisions = createRoute({
  getParentRoute: () => inside,
  path: 'decisions',
  component: DecisionsPage,
  validateSearch: (search: Record<string, unknown>): DecisionsSearch => readSearch(search),
})

const rules = createRoute({
  getParentRoute: () => inside,
  path: 'rules',
  // The editor is a third of the code; who only reads decisions never loads it.
  component: lazyRouteComponent(() => import('./pages/rules/RulesPage'), 'RulesPage'),
  validateSearch: (search: Record<string, unknown>): RulesSearch => readRulesSearch(search),
})

export const makeRouter = () =>
  createRouter({
    routeTree: root.addChildren([register, inside.addChildren([home, decisions, rules])]),
    basepath: prefix,
    parseSearch,
    stringifySearch,
    defaultPreload: 'intent',
    defaultErrorComponent: BrokenPage,
    scrollRestoration: false,
  })

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
}
