package doctor

import (
	"fmt"
	"net/http"
	"time"
)

// clockSlack is how far the clocks may be apart before it is worth a word.
const clockSlack = time.Minute

// checkClock compares the server's clock with this machine's.
func (d *visit) checkClock(a answer) {
	at := place{check: "clock"}
	theirs, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return // no clock, no claim
	}
	apart := theirs.Sub(a.received)
	word := "ahead of"
	if apart < 0 {
		apart, word = -apart, "behind"
	}
	if apart > clockSlack {
		d.tell(Warning, at, "clock-skew", fmt.Sprintf("The server's clock is %s %s this machine's: tokens and certificates may count as expired, or not begun.",
			timeLeftOrSeconds(apart), word), nil)
		return
	}
	d.tell(OK, at, "clock-ok", "The server's clock agrees with this machine's.", nil)
}

func timeLeftOrSeconds(t time.Duration) string {
	if t < 2*time.Minute {
		return seconds(t.Round(time.Second))
	}
	return timeLeft(t)
}

// checkHTTP2 looks at the version that was agreed on.
func (d *visit) checkHTTP2(a answer) {
	if !d.secure() {
		return // browsers speak HTTP/2 over TLS alone
	}
	at := place{check: "http version"}
	if a.proto == "HTTP/2.0" {
		d.tell(OK, at, "http2", "HTTP/2: polls of many tabs share one connection.", nil)
		return
	}
	d.tell(Note, at, "no-http2", a.proto+": a browser opens six connections to the site at most, and each tab on polling holds one.", nil)
}
