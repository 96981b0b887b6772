package api

import "github.com/sallyport/sallyport/internal/operators"

// consoleAPI is where the console's web application calls.
const consoleAPI = "/console/api"

// routes is the table of contents: method, path, who may call, what it does. The
// wire protocol's part follows the order of CONTRACT 1.4 and 2.2; docs/api.md
// says the same in words.
func (s *Server) routes() {
	// Server API, with a server secret.
	s.at("POST", "/v1/users/:userId/actions/:action", backend, s.track)
	s.at("GET", "/v1/users/:userId/actions/:action/:idempotencyKey", backend, s.getAction)
	s.at("PATCH", "/v1/users/:userId/actions/:action/:idempotencyKey", backend, s.updateAction)
	s.at("GET", "/v1/users/:userId/actions", backend, s.queryActions)
	s.at("POST", "/v1/validate", backend, s.validate)
	s.at("GET", "/v1/users/:userId/actions/:action/:idempotencyKey/receipt", backend, s.receipt) // our own
	s.at("POST", "/v1/challenge", backend, s.requestCode)
	s.at("POST", "/v1/verify", backend, s.checkCode)
	s.at("POST", "/v1/claim", backend, s.claim)
	s.at("GET", "/v1/challenges", backend, s.getChallenge) // and /v1/v1/challenges, see serveHTTP
	s.at("GET", "/v1/users/:userId", backend, s.getUser)
	s.at("GET", "/v1/users", backend, s.queryUsers)
	s.at("PATCH", "/v1/users/:userId", backend, s.updateUser)
	s.at("POST", "/v1/users/:userId", backend, s.updateUser) // the Ruby SDK (CONTRACT 0.9)
	s.at("DELETE", "/v1/users/:userId", backend, s.deleteUser)
	s.at("GET", "/v1/users/:userId/authenticators", backend, s.listAuthenticators)
	s.at("POST", "/v1/users/:userId/authenticators", backend, s.enrolAuthenticator)
	s.at("POST", "/v1/users/authenticators", backend, s.work.imports.costly(s.importAuthenticators))
	s.at("DELETE", "/v1/users/:userId/authenticators/:userAuthenticatorId", backend, s.removeAuthenticator)
	s.at("GET", "/v1/authenticators", backend, s.authenticatorConfigurations)
	s.at("GET", "/v1/users/:userId/devices", backend, s.listDevices)
	s.at("PATCH", "/v1/users/:userId/devices/:deviceId", backend, s.rememberDevice)
	s.at("POST", "/v1/users/:userId/devices/:deviceId/invalidate", backend, s.invalidateDevice)

	// Client API, with an access token or the tenant's id. The variants with /web are
	// those of SDKs that send cookies, which nothing here needs.
	for _, web := range []string{"", "/web"} {
		s.at("POST", "/v1/client/user-authenticators/passkey/registration-options"+web, bearer, s.registrationOptions)
		s.at("POST", "/v1/client/user-authenticators/passkey/authentication-options"+web, bearerOrAnonymous, s.authenticationOptions)
		s.at("POST", "/v1/client/challenge"+web, bearerOrAnonymous, s.nameAction)
	}
	s.at("POST", "/v1/client/user-authenticators/passkey", bearer, s.addPasskey)
	s.at("POST", "/v1/client/verify/passkey", bearerOrAnonymous, s.verifyPasskey)
	s.at("GET", "/v1/client/user-authenticators/passkey", anonymous, s.clientPasskey)
	s.at("GET", "/v1/client/user-authenticators", bearerReading, s.clientAuthenticators)
	s.at("POST", "/v1/client/init", bearerReading, s.clientInit)
	s.at("POST", "/v1/client/user-authenticators/totp", bearer, s.addApp)
	s.at("POST", "/v1/client/verify/totp", bearer, s.verifyApp)
	s.at("POST", "/v1/client/user-authenticators/email-otp", bearer, s.addEmail)
	s.at("POST", "/v1/client/challenge/email-otp", bearer, s.sendCode)
	s.at("POST", "/v1/client/verify/email-otp", bearer, s.verifyEmail)
	s.at("POST", "/v1/client/verify/recovery-code", bearer, s.verifyRecoveryCode) // our own
	s.at("POST", "/v1/client/user-authenticators/security-key/registration-options", bearer, s.securityKeyRegistrationOptions)
	s.at("POST", "/v1/client/user-authenticators/security-key", bearer, s.addSecurityKey)
	s.at("POST", "/v1/client/user-authenticators/security-key/authentication-options", bearer, s.securityKeyAuthenticationOptions)
	s.at("POST", "/v1/client/verify/security-key", bearer, s.verifySecurityKey)
	for path, method := range otherMethods {
		s.at("POST", path, bearerOrAnonymous, otherMethod(method))
	}

	// Management API, with the management secret.
	s.at("GET", "/v1/management/rule-sets", management, s.listRuleSets)
	s.at("POST", "/v1/management/rule-sets", management, s.work.publishing.costly(s.applyRules))
	s.at("POST", "/v1/management/rule-sets/check", management, s.work.checks.costly(s.checkRules))
	s.at("POST", "/v1/management/rule-sets/test", management, s.work.checks.costly(s.testRules))
	s.at("POST", "/v1/management/rule-sets/backtest", management, s.work.checks.costly(s.backtestRules))
	s.at("GET", "/v1/management/rule-sets/current", management, s.exportRules)
	s.at("GET", "/v1/management/rule-sets/:number", management, s.exportRuleSet)
	s.at("GET", "/v1/management/rule-sets/:number/diff", management, s.diffRuleSets)
	s.at("POST", "/v1/management/rule-sets/:number/rollback", management, s.work.rollingBack.costly(s.rollBackRules))
	s.at("GET", "/v1/management/drafts", management, s.listDrafts)
	s.at("POST", "/v1/management/drafts", management, s.work.texts.costly(s.createDraft))
	s.at("GET", "/v1/management/drafts/:draft", management, s.getDraft)
	s.at("PUT", "/v1/management/drafts/:draft", management, s.work.texts.costly(s.updateDraft))
	s.at("DELETE", "/v1/management/drafts/:draft", management, s.dropDraft)
	s.at("POST", "/v1/management/drafts/:draft/check", management, s.work.checks.costly(s.checkDraft))
	s.at("POST", "/v1/management/drafts/:draft/test", management, s.work.checks.costly(s.testDraft))
	s.at("POST", "/v1/management/drafts/:draft/publish", management, s.work.publishing.costly(s.applyDraft))
	s.at("GET", "/v1/management/lists", management, s.allLists)
	s.at("POST", "/v1/management/lists", management, s.createList)
	s.at("GET", "/v1/management/lists/:list", management, s.getList)
	s.at("DELETE", "/v1/management/lists/:list", management, s.deleteList)
	s.at("GET", "/v1/management/lists/:list/items", management, s.getItems)
	s.at("PUT", "/v1/management/lists/:list/items", management, s.work.imports.streaming(s.replaceItems))
	s.at("POST", "/v1/management/lists/:list/items", management, s.work.imports.streaming(s.addItems))
	s.at("DELETE", "/v1/management/lists/:list/items", management, s.deleteItems)
	s.at("POST", "/v1/management/decisions/replay", management, s.work.checks.costly(s.replayDecisions))
	s.at("GET", "/v1/management/decisions/:userId/:action/:idempotencyKey/explain", management, s.work.checks.costly(s.explainDecision))
	s.at("POST", "/v1/management/operators/invites", management, s.inviteOperator)

	// The wire protocol's own management API (CONTRACT 2.6). Its documentation
	// writes the paths of rules with an underscore, its SDKs with a hyphen.
	s.at("GET", "/v1/management/action-configurations", management, s.listActions)
	s.at("POST", "/v1/management/action-configurations", management, s.createAction)
	s.at("GET", "/v1/management/action-configurations/:actionCode", management, s.showAction)
	s.at("PATCH", "/v1/management/action-configurations/:actionCode", management, s.changeAction)
	s.at("DELETE", "/v1/management/action-configurations/:actionCode", management, s.dropAction)
	for _, path := range []string{"/v1/management/action-configurations/:actionCode/rules", "/v1/management/action_configurations/:actionCode/rules"} {
		s.at("GET", path, management, s.listWireRules)
		s.at("POST", path, management, s.createRule)
		s.at("GET", path+"/:ruleId", management, s.showRule)
		s.at("PATCH", path+"/:ruleId", management, s.changeRule)
		s.at("DELETE", path+"/:ruleId", management, s.dropRule)
	}
	s.at("GET", "/v1/management/value-lists", management, s.listValueLists)
	s.at("POST", "/v1/management/value-lists", management, s.createValueList)
	s.at("GET", "/v1/management/value-lists/:alias", management, s.showValueList)
	s.at("PATCH", "/v1/management/value-lists/:alias", management, s.changeValueList)
	s.at("DELETE", "/v1/management/value-lists/:alias", management, s.dropValueList)
	s.at("GET", "/v1/management/custom-data-points", management, s.listFields)
	s.at("POST", "/v1/management/custom-data-points", management, s.createField)
	s.at("GET", "/v1/management/custom-data-points/:id", management, s.showField)
	s.at("PATCH", "/v1/management/custom-data-points/:id", management, s.changeField)
	s.at("DELETE", "/v1/management/custom-data-points/:id", management, s.dropField)

	// Console API, with an operator's session; its contract is console.yaml.
	s.at("GET", consoleAPI+"/session", operator(operators.Reviewer), s.session)
	s.at("POST", consoleAPI+"/register/begin", stranger, s.registerBegin)
	s.at("POST", consoleAPI+"/register/finish", stranger, s.registerFinish)
	s.at("POST", consoleAPI+"/signin/begin", stranger, s.signInBegin)
	s.at("POST", consoleAPI+"/signin/finish", stranger, s.signInFinish)
	s.at("POST", consoleAPI+"/signout", operator(operators.Reviewer), s.signOut)
	s.at("GET", consoleAPI+"/operators", operator(operators.Reviewer), s.operatorNames)
	s.at("GET", consoleAPI+"/status", operator(operators.Reviewer), s.status)
	s.at("GET", consoleAPI+"/decisions", operator(operators.Reviewer), s.decisions)
	s.at("GET", consoleAPI+"/decision", operator(operators.Reviewer), s.decision)
	s.at("GET", consoleAPI+"/decision/explain", operator(operators.Reviewer), s.work.checks.costly(s.decisionExplain))
	s.at("POST", consoleAPI+"/decisions/replay", operator(operators.Reviewer), s.work.checks.costly(s.decisionsReplay))
	s.at("GET", consoleAPI+"/rules", operator(operators.Reviewer), s.rules)
	s.at("GET", consoleAPI+"/rules/versions", operator(operators.Reviewer), s.ruleVersions)
	s.at("GET", consoleAPI+"/rules/version", operator(operators.Reviewer), s.ruleVersion)
	s.at("GET", consoleAPI+"/rules/diff", operator(operators.Reviewer), s.rulesDiff)
	s.at("POST", consoleAPI+"/rules/check", operator(operators.Reviewer), s.work.checks.costly(s.rulesCheck))
	s.at("POST", consoleAPI+"/rules/test", operator(operators.Reviewer), s.work.checks.costly(s.rulesTest))
	s.at("POST", consoleAPI+"/rules/backtest", operator(operators.Reviewer), s.work.checks.costly(s.rulesBacktest))
	s.at("POST", consoleAPI+"/rules/publish", operator(operators.Analyst), s.work.publishing.costly(s.rulesPublish))
	s.at("POST", consoleAPI+"/rules/rollback", operator(operators.Analyst), s.work.rollingBack.costly(s.rulesRollBack))
	s.at("GET", consoleAPI+"/drafts", operator(operators.Reviewer), s.listDrafts)
	s.at("GET", consoleAPI+"/draft", operator(operators.Reviewer), s.consoleDraft)
	s.at("POST", consoleAPI+"/drafts/save", operator(operators.Analyst), s.work.texts.costly(s.draftsSave))
	s.at("POST", consoleAPI+"/drafts/check", operator(operators.Reviewer), s.work.checks.costly(s.draftsCheck))
	s.at("POST", consoleAPI+"/drafts/test", operator(operators.Reviewer), s.work.checks.costly(s.draftsTest))
	s.at("POST", consoleAPI+"/drafts/approve", operator(operators.Analyst), s.draftsApprove)
	s.at("POST", consoleAPI+"/drafts/publish", operator(operators.Analyst), s.work.publishing.costly(s.draftsPublish))
	s.at("POST", consoleAPI+"/drafts/delete", operator(operators.Analyst), s.draftsDelete)
	s.at("GET", consoleAPI+"/lists", operator(operators.Reviewer), s.allLists)
	s.at("GET", consoleAPI+"/list", operator(operators.Reviewer), s.consoleList)
	s.at("GET", consoleAPI+"/list/export", operator(operators.Reviewer), s.listsExport)
	s.at("POST", consoleAPI+"/lists/create", operator(operators.Analyst), s.createList)
	s.at("POST", consoleAPI+"/lists/import", operator(operators.Analyst), s.work.imports.streaming(s.listsImport))
	s.at("POST", consoleAPI+"/lists/add", operator(operators.Analyst), s.work.imports.costly(s.listsAdd))
	s.at("POST", consoleAPI+"/lists/remove", operator(operators.Analyst), s.work.imports.costly(s.listsRemove))
	s.at("POST", consoleAPI+"/lists/drop", operator(operators.Analyst), s.listsDrop)
	s.at("POST", consoleAPI+"/condition/parse", operator(operators.Reviewer), s.work.texts.costly(s.conditionParse))
	s.at("POST", consoleAPI+"/condition/format", operator(operators.Reviewer), s.work.texts.costly(s.conditionFormat))
	s.at("GET", consoleAPI+"/vocabulary", operator(operators.Reviewer), s.vocabulary)
	s.at("GET", consoleAPI+"/*", open, s.noSuchEndpoint) // and not the console's page
	s.at("POST", consoleAPI+"/*", open, s.noSuchEndpoint)

	// What people and machines read without any of it.
	s.at("GET", "/.well-known/webauthn", open, s.wellKnown)
	s.at("GET", "/healthz", open, s.healthz)
	s.at("GET", "/readyz", open, s.readyz)
	s.at("GET", "/metrics", open, s.prometheus)
	s.mount("/challenge", s.config.Pages)
	s.mount("/console", s.config.Console)
}
