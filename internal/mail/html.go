package mail

import (
	"fmt"
	"html/template"
	"strings"
)

// page is the letter in HTML. Mail programs drop style sheets, so that styles
// are inline; none of it is loaded from anywhere. The groups of the code are set
// apart by their style alone: copied, the code has no spaces.
var page = template.Must(template.New("mail").Parse(`
{{- define "piece"}}{{if .Dir}}<bdi dir="{{.Dir}}">{{.Text}}</bdi>{{else}}{{.Text}}{{end}}{{end -}}
{{- define "sentence"}}{{range .}}{{template "piece" .}}{{end}}{{end -}}
<!DOCTYPE html>
<html lang="{{.Lang}}" dir="{{.Dir}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{{.Subject}}</title>
</head>
<body style="margin:0;padding:24px 16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',Arial,sans-serif">
<div style="max-width:480px;margin:0 auto">
<p style="margin:0 0 24px;font-weight:600"><bdi dir="auto">{{.Brand}}</bdi></p>
{{- range $i, $s := .Before}}
<p style="margin:0 0 16px">{{template "sentence" $s}}</p>
{{- if and (eq $i 0) $.Shown}}
<p style="margin:0 0 16px;padding:12px 16px;border:1px solid #8a948f;border-radius:8px;font-weight:600">{{template "piece" $.Shown}}</p>
{{- end}}
{{- end}}
{{- if .Code}}
<p dir="ltr" style="margin:0 0 16px;font-size:34px;line-height:1.3;font-weight:700;letter-spacing:2px;text-align:{{.Start}};font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace">{{range $i, $group := .Code}}<span{{if $i}} style="padding-left:12px"{{end}}>{{$group}}</span>{{end}}</p>
{{- end}}
{{- range .Facts}}
<p style="margin:0 0 4px">{{.Label}}: <strong>{{template "piece" .Value}}</strong></p>
{{- end}}
{{- range .After}}
<p style="margin:16px 0 0">{{template "sentence" .}}</p>
{{- end}}
<p style="margin:24px 0 0;padding-top:16px;border-top:1px solid #8a948f;font-size:14px">{{template "sentence" .Foot}}</p>
</div>
</body>
</html>
`))

// html is the letter as an HTML document.
func (l letter) html() (string, error) {
	dir, start := "ltr", "left"
	if l.language.rtl {
		dir, start = "rtl", "right"
	}
	var out strings.Builder
	err := page.Execute(&out, map[string]any{
		"Lang": l.language.tag, "Dir": dir, "Start": start, "Subject": l.subject, "Brand": l.brand,
		"Before": l.before, "Shown": l.shown, "Code": l.code, "Facts": l.facts, "After": l.after, "Foot": l.foot,
	})
	if err != nil {
		return "", fmt.Errorf("write HTML: %w", err)
	}
	return out.String(), nil
}
