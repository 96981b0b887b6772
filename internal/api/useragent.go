package api

import "github.com/mileusna/useragent"

// wireUserAgent has the shape of the JavaScript library ua-parser-js, which the
// SDKs' users know (CONTRACT 1.5).
type wireUserAgent struct {
	UA      string     `json:"ua"`
	Browser wireNamed  `json:"browser"`
	Device  wireDevice `json:"device"`
	Engine  wireNamed  `json:"engine"`
	OS      wireNamed  `json:"os"`
	CPU     wireCPU    `json:"cpu"`
}

type wireNamed struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	Major   string `json:"major,omitempty"`
}

type wireDevice struct {
	Model  string `json:"model,omitempty"`
	Type   string `json:"type,omitempty"`
	Vendor string `json:"vendor,omitempty"`
}

type wireCPU struct {
	Architecture string `json:"architecture,omitempty"`
}

// userAgentOf is nil without a user agent. Engine and processor are not read
// from it: browsers have stopped telling the truth about them.
func userAgentOf(text string) *wireUserAgent {
	if text == "" {
		return nil
	}
	ua := useragent.Parse(text)
	out := &wireUserAgent{
		UA: text, Browser: wireNamed{Name: ua.Name, Version: ua.Version}, OS: wireNamed{Name: ua.OS, Version: ua.OSVersion},
		Device: wireDevice{Model: ua.Device},
	}
	for i, c := range ua.Version {
		if c == '.' {
			out.Browser.Major = ua.Version[:i]
			break
		}
	}
	switch {
	case ua.Tablet:
		out.Device.Type = "tablet"
	case ua.Mobile:
		out.Device.Type = "mobile"
	}
	return out
}
