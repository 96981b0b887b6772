package pages

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Logo is an application's mark. The page shows it in an image element only, so
// that nothing in an SVG file runs or is fetched.
type Logo struct {
	Type string // image/svg+xml or image/png
	Data []byte // at most MaxLogo
}

// MaxLogo is the largest logo in bytes: with it the page stays quick on a bad line.
const MaxLogo = 10 << 10

// DefaultAccent is the colour of the main button where the application names none.
const DefaultAccent = "#0a5c4d"

func (l *Logo) check() error {
	switch {
	case l == nil:
		return nil
	case l.Type != "image/svg+xml" && l.Type != "image/png":
		return fmt.Errorf("logo: %q is neither image/svg+xml nor image/png", l.Type)
	case len(l.Data) == 0:
		return errors.New("logo: it is empty")
	case len(l.Data) > MaxLogo:
		return fmt.Errorf("logo: it has %d bytes, and at most %d are shown", len(l.Data), MaxLogo)
	}
	return nil
}

func (l *Logo) extension() string {
	if l.Type == "image/png" {
		return "png"
	}
	return "svg"
}

// readable is the contrast that text needs against its ground (WCAG 2.2, 1.4.3).
const readable = 4.5

// colour is one in sRGB, each part from 0 to 1.
type colour [3]float64

var (
	white    = colour{1, 1, 1}
	black    = colour{0, 0, 0}
	darkCard = colour{0x16 / 255.0, 0x1d / 255.0, 0x1a / 255.0}
)

// parseColour reads #rgb or #rrggbb.
func parseColour(text string) (colour, error) {
	digits, ok := strings.CutPrefix(text, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != 3 {
		return colour{}, fmt.Errorf("accent: %q is no colour like %s", text, DefaultAccent)
	}
	return colour{float64(raw[0]) / 255, float64(raw[1]) / 255, float64(raw[2]) / 255}, nil
}

func (c colour) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// mix is a colour with a part of another one, from 0 to 1.
func (c colour) mix(other colour, part float64) colour {
	for i := range c {
		c[i] += (other[i] - c[i]) * part
	}
	return c
}

// luminance is WCAG's relative luminance.
func (c colour) luminance() float64 {
	for i, v := range c {
		if v <= 0.04045 {
			c[i] = v / 12.92
		} else {
			c[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
}

// contrast is WCAG's ratio, from 1 to 21.
func (c colour) contrast(other colour) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// towards moves a colour in small steps to another one until it has the wanted
// contrast against a ground.
func (c colour) towards(end, ground colour, wanted float64) colour {
	for part := 0.0; part < 1; part += 0.02 {
		if moved := c.mix(end, part); moved.contrast(ground) >= wanted {
			return moved
		}
	}
	return end
}

// lighter is a colour of the same hue that has the wanted contrast against a dark
// ground: half way between what white makes of it, which is grey, and the strongest
// colour of the hue, which is shrill.
func (c colour) lighter(ground colour, wanted float64) colour {
	strongest := max(c[0], c[1], c[2])
	if strongest == 0 || c.contrast(ground) >= wanted {
		return c.towards(white, ground, wanted)
	}
	vivid := colour{c[0] / strongest, c[1] / strongest, c[2] / strongest}
	return c.mix(vivid, 0.8).towards(white, ground, wanted).mix(c.towards(white, ground, wanted), 0.5)
}

// on is what to write with on a colour: white where that is readable.
func (c colour) on() colour {
	if c.contrast(white) >= readable {
		return white
	}
	return c.mix(black, 0.85).towards(black, c, readable)
}

// accentRules is the part of the style sheet that is made of the accent. The
// colour of the button is the accent as it is in the light, and a lighter one in
// the dark; text in the accent's colour is moved until it can be read.
func accentRules(accent colour) string {
	rules := func(button, ground, end colour, hover colour) string {
		tint := ground.mix(button, 0.07)
		return fmt.Sprintf("--accent:%v;--on-accent:%v;--accent-hover:%v;--tint:%v;--link:%v",
			button, button.on(), button.towardsHover(hover), tint, button.towards(end, tint, readable))
	}
	lighter := accent.lighter(darkCard, 9)
	return ":root{" + rules(accent, white, black, black) + "}\n" +
		"@media (prefers-color-scheme:dark){:root{" + rules(lighter, darkCard, white, white) + "}}\n"
}

// towardsHover is the button under the pointer, still readable.
func (c colour) towardsHover(end colour) colour {
	moved := c.mix(end, 0.14)
	if moved.contrast(c.on()) < readable {
		return c
	}
	return moved
}
