package events

// Method is a way to prove that it is you. The values are those of the wire
// protocol (CONTRACT 1.3).
type Method string

// The methods that Sallyport offers or records.
const (
	MethodPasskey          Method = "PASSKEY"
	MethodSecurityKey      Method = "SECURITY_KEY"
	MethodAuthenticatorApp Method = "AUTHENTICATOR_APP"
	MethodEmailOTP         Method = "EMAIL_OTP"
	MethodRecoveryCode     Method = "RECOVERY_CODE"
)
