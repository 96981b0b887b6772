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
	s.at("GET", "/v1/users/:userId", backend, s.getUser)
	s.at("GET", "/v1/users", backend, s.queryUsers)
	s.at("PATCH", "/v1/users/:userId", backend, s.updateUser)
	s.at("POST", "/v1/users/:userId", backend, s.updateUser) // the Ruby SDK (CONTRACT 0.9)
	s.at("DELETE", "/v1/users/:userId", backend, s.deleteUser)
	s.at("GET", "/v1/users/:userId/authenticators", backend, s.listAuthenticators)
	s.at("POST", "/v1/users/:userId/authenticators", backend, s.enrolAuthenticator)
	s.at("DELETE", "/v1/users/:userId/authenticators/:userAuthenticatorId", backend, s.removeAuthenticator)
	s.at("GET", "/v1/authenticators", backend, s.authenticatorConfigurations)

	// Client API, with an access token or the tenant's id.
	s.at("POST", "/v1/client/user-authenticators/passkey/registration-options", bearer, s.registrationOptions)
	s.at("POST", "/v1/client/user-authenticators/passkey", bearer, s.addPasskey)
	s.at("POST", "/v1/client/user-authenticators/passkey/authentication-options", bearerOrAnonymous, s.authenticationOptions)
	s.at("POST", "/v1/client/verify/passkey", bearerOrAnonymous, s.verifyPasskey)
	s.at("GET", "/v1/client/user-authenticators/passkey", anonymous, s.clientPasskey)
	s.at("GET", "/v1/client/user-authenticators", bearerReading, s.clientAuthenticators)
	s.at("POST", "/v1/client/challenge", bearerOrAnonymous, s.beginAnonymous)
	for path, method := range otherMethods {
		s.at("POST", path, bearer, otherMethod(method))
	}

	// Management API, with the management secret.
	s.at("GET", "/v1/management/rule-sets/current", management, s.exportRules)
	s.at("POST", "/v1/management/rule-sets", management, s.applyRules)
	s.at("POST", "/v1/management/rule-sets/check", management, s.checkRules)
	s.at("POST", "/v1/management/operators/invites", management, s.inviteOperator)

	// Console API, with an operator's session; its contract is console.yaml.
	s.at("GET", consoleAPI+"/session", operator(operators.Reviewer), s.session)
	s.at("POST", consoleAPI+"/register/begin", stranger, s.registerBegin)
	s.at("POST", consoleAPI+"/register/finish", stranger, s.registerFinish)
	s.at("POST", consoleAPI+"/signin/begin", stranger, s.signInBegin)
	s.at("POST", consoleAPI+"/signin/finish", stranger, s.signInFinish)
	s.at("POST", consoleAPI+"/signout", operator(operators.Reviewer), s.signOut)
	s.at("GET", consoleAPI+"/status", operator(operators.Reviewer), s.status)
	s.at("GET", consoleAPI+"/decisions", operator(operators.Reviewer), s.decisions)
	s.at("GET", consoleAPI+"/decision", operator(operators.Reviewer), s.decision)
	s.at("GET", consoleAPI+"/rules", operator(operators.Reviewer), s.rules)
	s.at("GET", consoleAPI+"/rules/versions", operator(operators.Reviewer), s.ruleVersions)
	s.at("POST", consoleAPI+"/rules/check", operator(operators.Reviewer), s.rulesCheck)
	s.at("POST", consoleAPI+"/rules/publish", operator(operators.Analyst), s.rulesPublish)
	s.at("GET", consoleAPI+"/vocabulary", operator(operators.Reviewer), s.vocabulary)
	s.at("GET", consoleAPI+"/*", open, s.noSuchEndpoint) // and not the console's page
	s.at("POST", consoleAPI+"/*", open, s.noSuchEndpoint)

	// What people and machines read without any of it.
	s.at("GET", "/healthz", open, s.healthz)
	s.at("GET", "/readyz", open, s.readyz)
	s.at("GET", "/metrics", open, s.prometheus)
	s.mount("/challenge", s.config.Pages)
	s.mount("/console", s.config.Console)
}
