package mail

import "strings"

// language is one language that mails can have.
type language struct {
	tag   string // BCP 47, such as "en"
	rtl   bool   // written from right to left
	texts texts
}

// texts are the words of the mails in one language, by key. {brand}, {code},
// {method} and {minutes} stand for what a mail puts there. All tables have the
// same keys, with the same of these in each.
//
// The keys of "code.valid" are the plural forms that the three languages need
// between them (CLDR); see plural.
type texts map[string]string

// languages are those that there are. The first speaks to everybody else.
func languages() []language {
	return []language{english(), german(), arabic()}
}

// speak picks the language for a locale such as "de-CH" or "de_CH".
func speak(locale string) language {
	all := languages()
	tag, _, _ := strings.Cut(strings.ReplaceAll(locale, "_", "-"), "-")
	for _, l := range all {
		if strings.EqualFold(l.tag, tag) {
			return l
		}
	}
	return all[0]
}

// plural is the form for a number: one, two, few or many.
func plural(n int) string {
	switch {
	case n == 1:
		return "one"
	case n == 2:
		return "two"
	case n%100 >= 3 && n%100 <= 10:
		return "few"
	}
	return "many"
}

func english() language {
	return language{tag: "en", texts: texts{
		"code.subject":    "{code} is your code for {brand}",
		"code.action":     "With this code you confirm that it's you at {brand}:",
		"code.enrolment":  "With this code you add this e-mail address to your account at {brand}:",
		"code.shown":      "{brand} asks you to approve:",
		"code.approve":    "With this code you approve it:",
		"code.valid.one":  "The code is valid for 1 minute.",
		"code.valid.two":  "The code is valid for 2 minutes.",
		"code.valid.few":  "The code is valid for {minutes} minutes.",
		"code.valid.many": "The code is valid for {minutes} minutes.",
		"code.warning":    "If you didn't ask for this, don't give the code to anyone. Nothing happens without it.",

		"added.subject":  "{method} was added to your account at {brand}",
		"added.what":     "{method} was added to your account at {brand}.",
		"added.stranger": "If it wasn't you, somebody else may be able to use your account. Go to {brand} the way you always do, remove what was added, and change your password if you have one. If you can't get in, ask its support for help.",

		"removed.subject":  "{method} was removed from your account at {brand}",
		"removed.what":     "{method} was removed from your account at {brand}.",
		"removed.stranger": "If it wasn't you, somebody else may be using your account. Go to {brand} the way you always do, check which ways to confirm that it's you are left, change your password if you have one, and tell its support.",

		"renewed.subject":  "You have new recovery codes at {brand}",
		"renewed.what":     "New recovery codes replaced the old ones of your account at {brand}. The old ones no longer work.",
		"renewed.stranger": "If it wasn't you, somebody else may be using your account. Go to {brand} the way you always do, make new recovery codes, change your password if you have one, and tell its support.",

		"notice.name": "Name",
		"notice.when": "When",
		"notice.you":  "If this was you, there is nothing to do.",

		"method.PASSKEY":           "A passkey",
		"method.SECURITY_KEY":      "A security key",
		"method.AUTHENTICATOR_APP": "An authenticator app",
		"method.EMAIL_OTP":         "An e-mail address for codes",
		"method.RECOVERY_CODE":     "A set of recovery codes",
		"method.other":             "A way to confirm that it's you",

		"foot": "{brand} sends this automatically to keep your account safe.",
	}}
}

func german() language {
	return language{tag: "de", texts: texts{
		"code.subject":    "{code} ist Ihr Code für {brand}",
		"code.action":     "Mit diesem Code bestätigen Sie bei {brand}, dass Sie es sind:",
		"code.enrolment":  "Mit diesem Code fügen Sie diese E-Mail-Adresse zu Ihrem Konto bei {brand} hinzu:",
		"code.shown":      "{brand} bittet Sie um Ihre Zustimmung:",
		"code.approve":    "Mit diesem Code stimmen Sie zu:",
		"code.valid.one":  "Der Code gilt 1 Minute.",
		"code.valid.two":  "Der Code gilt 2 Minuten.",
		"code.valid.few":  "Der Code gilt {minutes} Minuten.",
		"code.valid.many": "Der Code gilt {minutes} Minuten.",
		"code.warning":    "Wenn Sie das nicht angefordert haben, geben Sie den Code an niemanden weiter. Ohne ihn geschieht nichts.",

		"added.subject":  "{method} wurde zu Ihrem Konto bei {brand} hinzugefügt",
		"added.what":     "{method} wurde zu Ihrem Konto bei {brand} hinzugefügt.",
		"added.stranger": "Wenn Sie das nicht waren, kann vielleicht jemand anderes Ihr Konto benutzen. Öffnen Sie {brand} so wie immer, entfernen Sie, was hinzugefügt wurde, und ändern Sie Ihr Passwort, falls Sie eines haben. Wenn Sie nicht mehr hineinkommen, bitten Sie dort den Kundendienst um Hilfe.",

		"removed.subject":  "{method} wurde aus Ihrem Konto bei {brand} entfernt",
		"removed.what":     "{method} wurde aus Ihrem Konto bei {brand} entfernt.",
		"removed.stranger": "Wenn Sie das nicht waren, benutzt vielleicht jemand anderes Ihr Konto. Öffnen Sie {brand} so wie immer, prüfen Sie, womit Sie sich dort noch bestätigen können, ändern Sie Ihr Passwort, falls Sie eines haben, und melden Sie es dem Kundendienst.",

		"renewed.subject":  "Sie haben neue Wiederherstellungscodes bei {brand}",
		"renewed.what":     "Neue Wiederherstellungscodes haben die alten Ihres Kontos bei {brand} ersetzt. Die alten gelten nicht mehr.",
		"renewed.stranger": "Wenn Sie das nicht waren, benutzt vielleicht jemand anderes Ihr Konto. Öffnen Sie {brand} so wie immer, erstellen Sie neue Wiederherstellungscodes, ändern Sie Ihr Passwort, falls Sie eines haben, und melden Sie es dem Kundendienst.",

		"notice.name": "Name",
		"notice.when": "Wann",
		"notice.you":  "Wenn Sie das waren, brauchen Sie nichts zu tun.",

		"method.PASSKEY":           "Ein Passkey",
		"method.SECURITY_KEY":      "Ein Sicherheitsschlüssel",
		"method.AUTHENTICATOR_APP": "Eine Authenticator-App",
		"method.EMAIL_OTP":         "Eine E-Mail-Adresse für Codes",
		"method.RECOVERY_CODE":     "Ein Satz Wiederherstellungscodes",
		"method.other":             "Ein Weg, Ihre Identität zu bestätigen,",

		"foot": "{brand} verschickt diese Nachricht automatisch, damit Ihr Konto sicher bleibt.",
	}}
}

func arabic() language {
	return language{tag: "ar", rtl: true, texts: texts{
		"code.subject":    "{code} هو رمزك لدى {brand}",
		"code.action":     "بهذا الرمز تؤكّد هويتك لدى {brand}:",
		"code.enrolment":  "بهذا الرمز تضيف عنوان البريد الإلكتروني هذا إلى حسابك لدى {brand}:",
		"code.shown":      "المطلوب موافقتك عليه لدى {brand}:",
		"code.approve":    "بهذا الرمز توافق على ذلك:",
		"code.valid.one":  "الرمز صالح لدقيقة واحدة.",
		"code.valid.two":  "الرمز صالح لدقيقتين.",
		"code.valid.few":  "الرمز صالح لمدة {minutes} دقائق.",
		"code.valid.many": "الرمز صالح لمدة {minutes} دقيقة.",
		"code.warning":    "إذا لم تطلب ذلك فلا تعطِ الرمز لأي شخص. لن يحدث شيء من دونه.",

		"added.subject":  "تمت إضافة {method} إلى حسابك لدى {brand}",
		"added.what":     "تمت إضافة {method} إلى حسابك لدى {brand}.",
		"added.stranger": "إذا لم تكن أنت من فعل ذلك، فقد يتمكن شخص آخر من استخدام حسابك. انتقل إلى {brand} بطريقتك المعتادة، وأزل ما أُضيف، وغيّر كلمة مرورك إن كانت لديك كلمة مرور. وإذا تعذّر عليك الدخول فاطلب المساعدة من فريق الدعم.",

		"removed.subject":  "تمت إزالة {method} من حسابك لدى {brand}",
		"removed.what":     "تمت إزالة {method} من حسابك لدى {brand}.",
		"removed.stranger": "إذا لم تكن أنت من فعل ذلك، فقد يكون شخص آخر يستخدم حسابك. انتقل إلى {brand} بطريقتك المعتادة، وتحقق من طرق تأكيد الهوية المتبقية، وغيّر كلمة مرورك إن كانت لديك كلمة مرور، وأبلغ فريق الدعم.",

		"renewed.subject":  "لديك رموز استرداد جديدة لدى {brand}",
		"renewed.what":     "حلّت رموز استرداد جديدة محل الرموز القديمة لحسابك لدى {brand}. لم تعد الرموز القديمة صالحة.",
		"renewed.stranger": "إذا لم تكن أنت من فعل ذلك، فقد يكون شخص آخر يستخدم حسابك. انتقل إلى {brand} بطريقتك المعتادة، وأنشئ رموز استرداد جديدة، وغيّر كلمة مرورك إن كانت لديك كلمة مرور، وأبلغ فريق الدعم.",

		"notice.name": "الاسم",
		"notice.when": "الوقت",
		"notice.you":  "إذا كنت أنت من فعل ذلك، فلا حاجة إلى أي إجراء.",

		"method.PASSKEY":           "مفتاح مرور",
		"method.SECURITY_KEY":      "مفتاح أمان",
		"method.AUTHENTICATOR_APP": "تطبيق مصادقة",
		"method.EMAIL_OTP":         "عنوان بريد إلكتروني لتلقي الرموز",
		"method.RECOVERY_CODE":     "مجموعة من رموز الاسترداد",
		"method.other":             "طريقة لتأكيد هويتك",

		"foot": "تُرسَل هذه الرسالة تلقائيًا من {brand} للحفاظ على أمان حسابك.",
	}}
}
