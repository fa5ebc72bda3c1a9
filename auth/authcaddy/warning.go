package authcaddy

import "go.uber.org/zap"

// Warning is what an authenticator's config allows and is rarely meant. Whoever has declared the authenticator logs
// it, with the place.
type Warning struct {
	Text   string
	Fields []zap.Field
}

// warnings are those of one authenticator.
type warnings []Warning

func (w *warnings) warnOf(text string, fields ...zap.Field) {
	*w = append(*w, Warning{text, fields})
}

// Warner is an authenticator with warnings.
type Warner interface {
	// Warnings returns those of the config that was provisioned.
	Warnings() []Warning
}
