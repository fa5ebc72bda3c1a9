package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// checkHealth asks the health endpoint. A site need not have one.
func (d *visit) checkHealth(ctx context.Context) {
	at := place{check: "health"}
	a := d.ask(ctx, question{method: http.MethodGet, path: d.Health})
	var body struct {
		Status string `json:"status"`
	}
	isJSON := json.Unmarshal(a.body, &body) == nil && body.Status != ""
	switch code, words := a.failure(); {
	case code != "" && d.givenHealth:
		d.tell(Problem, at, "health-failed", d.Health+": "+words, &a)
	case a.status == http.StatusServiceUnavailable && isJSON:
		d.tell(Warning, at, "health-stopping", fmt.Sprintf("%s says %q: a balancer sends nobody here.", d.Health, excerpt(body.Status)), &a)
	case a.status == http.StatusOK && (isJSON || d.givenHealth && !a.isHTML()):
		d.tell(OK, at, "health-ok", d.Health+" answers 200.", nil)
	case d.givenHealth:
		d.tell(Problem, at, "health-missing", fmt.Sprintf("%s answers %d, and not as a health endpoint.", d.Health, a.status), &a)
	default:
		d.skip("health: there is no endpoint at %s; --health says where one is", d.Health)
	}
}
