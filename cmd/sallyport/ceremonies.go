package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/pages"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/mail"
)

// CeremonySettings say how people prove themselves and what they see.
type CeremonySettings struct {
	Methods             []events.Method // nil: all that work
	UserVerification    string          // required, preferred or discouraged
	Attestation         string          // none, indirect, direct, enterprise or required
	AttestationMetadata string          // file
	Algorithms          []int           // COSE numbers; nil: ES256, EdDSA, RS256
	Hints               []string        // in the order of preference
	RefuseRegress       bool            // of signature counters
	RefuseNewlySynced   bool            // passkeys that become synced
	AppOrigins          []string        // of native apps
	FrameOrigins        []string        // whose pages may put ours into a frame
	Mail                Secret          // URL that takes mails over; may carry a password
	MailFrom            string
	PromptEvery         time.Duration // before a passkey that was put off is offered again
	Providers           string        // file
	Logo                string        // file
	Accent              string        // colour
	Texts               string        // file
}

// Bounds of files that the pages use, bytes.
const (
	maxLogo  = 10 << 10
	maxTexts = 256 << 10
)

// algorithmNames are the signatures that can be chosen, by the names of the COSE
// registry (IANA "COSE Algorithms").
var algorithmNames = map[string]int{
	"ES256": -7, "EdDSA": -8, "ES384": -35, "ES512": -36, "RS256": -257, "RS384": -258, "RS512": -259, "PS256": -37, "PS384": -38, "PS512": -39,
}

func ceremonySettings() []Setting {
	return []Setting{
		{
			Name: "methods",
			Help: "Methods that people may enrol and prove themselves with, separated by commas. Unset, PASSKEY, SECURITY_KEY, AUTHENTICATOR_APP, RECOVERY_CODE, and EMAIL_OTP where mail is set.",
			set:  func(c *Config, v string) (err error) { c.Ceremonies.Methods, err = parseMethods(v); return },
		},
		{
			Name: "user-verification", Default: "required",
			Help: "Whether passkeys check a fingerprint, face or PIN where neither rule nor action says: required, preferred or discouraged.",
			set: func(c *Config, v string) (err error) {
				c.Ceremonies.UserVerification, err = oneOf(v, "required", "preferred", "discouraged")
				return
			},
		},
		{
			Name: "attestation", Default: "none",
			Help: "What new passkeys are asked to prove of their make: none, indirect, direct, enterprise, or required, which refuses makes that attestation-metadata does not vouch for, synced passkeys among them.",
			set: func(c *Config, v string) (err error) {
				c.Ceremonies.Attestation, err = oneOf(v, "none", "indirect", "direct", "enterprise", "required")
				return
			},
		},
		{
			Name: "attestation-metadata",
			Help: "File with the BLOB of the FIDO metadata service. Without it no make is trusted.",
			set:  func(c *Config, v string) error { c.Ceremonies.AttestationMetadata = v; return readable(v) },
		},
		{
			Name: "algorithms", Default: "ES256,EdDSA,RS256",
			Help: "Signatures that new passkeys may use, the preferred one first: ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512.",
			set:  func(c *Config, v string) (err error) { c.Ceremonies.Algorithms, err = parseAlgorithms(v); return },
		},
		{
			Name: "passkey-hints",
			Help: "Which authenticators browsers should suggest first, separated by commas: security-key, client-device, hybrid.",
			set:  func(c *Config, v string) (err error) { c.Ceremonies.Hints, err = parseHints(v); return },
		},
		{
			Name: "sign-count", Default: "refuse",
			Help: "What to do with a device-bound passkey whose signature counter goes back, as a copy's would: refuse or accept. Rules see both.",
			set: func(c *Config, v string) error {
				word, err := oneOf(v, "refuse", "accept")
				c.Ceremonies.RefuseRegress = word == "refuse"
				return err
			},
		},
		{
			Name: "newly-synced", Default: "accept",
			Help: "What to do with a device-bound passkey that becomes a synced one: accept or refuse. Rules see it.",
			set: func(c *Config, v string) error {
				word, err := oneOf(v, "accept", "refuse")
				c.Ceremonies.RefuseNewlySynced = word == "refuse"
				return err
			},
		},
		{
			Name: "app-origins",
			Help: "Origins of native apps that may run ceremonies, separated by commas, such as android:apk-key-hash:….",
			set:  func(c *Config, v string) (err error) { c.Ceremonies.AppOrigins, err = parseAppOrigins(v); return },
		},
		{
			Name: "frame-origins",
			Help: "Origins, separated by commas, whose pages may show the challenge page in a frame and run ceremonies in it. Unset, none.",
			set:  func(c *Config, v string) (err error) { c.Ceremonies.FrameOrigins, err = parseOrigins(v); return },
		},
		{
			Name: "mail", Secret: true,
			Help: "Who takes mails over: smtp://user:password@host:587, smtps://…, https://… for a signed webhook, or dir:PATH for a folder to try things out. Unset, no codes and no notices are sent.",
			set:  func(c *Config, v string) error { c.Ceremonies.Mail = Secret(v); return nil },
		},
		{
			Name: "mail-from",
			Help: "Sender of mails, such as Example Shop <no-reply@example.com>.",
			set:  func(c *Config, v string) error { c.Ceremonies.MailFrom = v; return nil },
		},
		{
			Name: "passkey-prompt", Default: "7d",
			Help: "How long a passkey that somebody put off is not offered again, such as 7d or 12h.",
			set: func(c *Config, v string) (err error) {
				c.Ceremonies.PromptEvery, err = parseRemember(v)
				if err != nil || c.Ceremonies.PromptEvery == 0 {
					return errors.New("must be a time such as 7d or 12h, of at most 3650d")
				}
				return nil
			},
		},
		{
			Name: "passkey-icons",
			Help: "JSON file of names and icons of passkey providers by AAGUID, as the community's combined_aaguid.json has them. Unset, names from the list that ships, and letters for icons.",
			set:  func(c *Config, v string) error { c.Ceremonies.Providers = v; return readable(v) },
		},
		{
			Name: "logo",
			Help: "SVG or PNG file of at most 10 KiB that the challenge page shows beside the name.",
			set:  func(c *Config, v string) error { c.Ceremonies.Logo = v; return readable(v) },
		},
		{
			Name: "accent",
			Help: "Colour of buttons on the challenge page, such as #0a5c4d.",
			set:  func(c *Config, v string) error { c.Ceremonies.Accent = v; return nil },
		},
		{
			Name: "texts",
			Help: "YAML file of own words for the challenge page, by language and key. docs/pages.md lists the keys.",
			set:  func(c *Config, v string) error { c.Ceremonies.Texts = v; return readable(v) },
		},
	}
}

func (s CeremonySettings) contradictions() []error {
	var problems []error
	if slices.Contains(s.Methods, events.MethodEmailOTP) && s.Mail == "" {
		problems = append(problems, errors.New("methods: EMAIL_OTP needs mail, which says who sends the codes"))
	}
	if s.Attestation == "required" && s.AttestationMetadata == "" {
		problems = append(problems, errors.New("attestation=\"required\": needs attestation-metadata, which says which makes are trusted"))
	}
	return problems
}

func parseMethods(v string) ([]events.Method, error) {
	known := []events.Method{events.MethodPasskey, events.MethodSecurityKey, events.MethodAuthenticatorApp, events.MethodEmailOTP, events.MethodRecoveryCode}
	var methods []events.Method
	for _, item := range list(v) {
		m := events.Method(strings.ToUpper(item))
		if !slices.Contains(known, m) {
			return nil, fmt.Errorf("%q must be one of PASSKEY, SECURITY_KEY, AUTHENTICATOR_APP, EMAIL_OTP and RECOVERY_CODE", item)
		}
		methods = append(methods, m)
	}
	if !slices.Contains(methods, events.MethodPasskey) {
		return nil, errors.New("must hold PASSKEY")
	}
	return methods, nil
}

// parseAppOrigins accepts the origins that native apps and extensions have.
func parseAppOrigins(v string) ([]string, error) {
	origins := list(v)
	for _, origin := range origins {
		if !protocol.IsKnownOpaqueOrigin(origin) {
			return nil, fmt.Errorf("%q must be the origin of an app, such as android:apk-key-hash:… or ios:bundle-id:…", origin)
		}
	}
	return origins, nil
}

func parseAlgorithms(v string) ([]int, error) {
	var numbers []int
	for _, item := range list(v) {
		number, found := algorithmNames[item]
		if !found {
			return nil, fmt.Errorf("%q is not a signature that can be chosen", item)
		}
		numbers = append(numbers, number)
	}
	if len(numbers) == 0 {
		return nil, errors.New("must hold at least one signature")
	}
	return numbers, nil
}

func parseHints(v string) ([]string, error) {
	hints := list(v)
	for _, hint := range hints {
		if _, err := oneOf(hint, "security-key", "client-device", "hybrid"); err != nil {
			return nil, fmt.Errorf("%q %w", hint, err)
		}
	}
	return hints, nil
}

// relyingParty is the configuration of ceremonies.
func (c Config) relyingParty(secrets Secrets, mailer ceremonies.Mailer, log *slog.Logger) (ceremonies.Config, error) {
	s := c.Ceremonies
	config := ceremonies.Config{
		ID: c.RPID, Name: c.Name, Origins: c.AllOrigins(), AppOrigins: s.AppOrigins, TopOrigins: s.FrameOrigins, GuardedOrigins: []string{c.PublicURL}, Tenant: c.Tenant,
		Key: secrets.CodeKey, Methods: s.Methods, UserVerification: s.UserVerification, Algorithms: s.Algorithms, Hints: s.Hints,
		Mailer: mailer, Log: log, Attestation: ceremonies.Attestation{Conveyance: s.Attestation},
	}
	if !s.RefuseRegress {
		config.SignCount = ceremonies.AcceptSignCountRegress
	}
	if s.RefuseNewlySynced {
		config.Backup = ceremonies.RefuseNewlySynced
	}
	if s.Attestation == "required" {
		config.Attestation = ceremonies.Attestation{Required: true}
	}
	if s.Providers != "" {
		f, err := os.Open(s.Providers)
		if err != nil {
			return ceremonies.Config{}, fmt.Errorf("passkey-icons: %w", err)
		}
		defer f.Close()
		if config.Providers, err = ceremonies.ReadProviders(f); err != nil {
			return ceremonies.Config{}, fmt.Errorf("passkey-icons: %w", err)
		}
	}
	if s.AttestationMetadata != "" {
		f, err := os.Open(s.AttestationMetadata)
		if err != nil {
			return ceremonies.Config{}, fmt.Errorf("attestation-metadata: %w", err)
		}
		defer f.Close()
		if config.Attestation.Metadata, err = ceremonies.ReadMetadata(f, ""); err != nil {
			return ceremonies.Config{}, fmt.Errorf("attestation-metadata: %w", err)
		}
		log.Info("attestation metadata was read", "makes", config.Attestation.Metadata.Len())
	}
	return config, nil
}

// openMailer is who sends mails, nil when nobody does.
func openMailer(c Config, secrets Secrets) (ceremonies.Mailer, error) {
	mailer, err := mail.Open(mail.Config{
		URL: c.Ceremonies.Mail.Reveal(), From: c.Ceremonies.MailFrom, Brand: c.Name, Tenant: c.Tenant, Source: c.PublicURL,
		Secrets: func() []string {
			var plain []string
			for _, secret := range secrets.Server {
				plain = append(plain, secret.Reveal())
			}
			return plain
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return mailer, nil
}

// pages is the configuration of the hosted pages, but for what is opened beside them.
func (c Config) pages() (pages.Config, error) {
	s := c.Ceremonies
	config := pages.Config{
		Brand: c.Name, Accent: s.Accent, FrameAncestors: s.FrameOrigins, LaunchOrigins: c.AllOrigins(),
		Secure: c.secure(), PromptEvery: s.PromptEvery,
		Address: func(r *http.Request) netip.Addr { return api.ClientAddress(r, c.TrustedProxies) },
	}
	if s.Logo != "" {
		data, err := small(s.Logo, maxLogo)
		if err != nil {
			return pages.Config{}, fmt.Errorf("logo: %w", err)
		}
		kind := map[string]string{".svg": "image/svg+xml", ".png": "image/png"}[strings.ToLower(filepath.Ext(s.Logo))]
		config.Logo = &pages.Logo{Type: kind, Data: data}
	}
	if s.Texts != "" {
		data, err := small(s.Texts, maxTexts)
		if err != nil {
			return pages.Config{}, fmt.Errorf("texts: %w", err)
		}
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		if err := decoder.Decode(&config.Texts); err != nil {
			return pages.Config{}, fmt.Errorf("texts: %s: must hold languages, and under each its texts by key: %w", s.Texts, err)
		}
	}
	return config, nil
}

// small reads a file of a bounded size.
func small(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, errors.New(path + " is larger than " + strconv.FormatInt(most>>10, 10) + " KiB")
	}
	return data, nil
}
