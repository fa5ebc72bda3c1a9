package sites

import (
	"encoding/json"
	"slices"
)

// route is what is asked of the JSON of a route.
type route struct {
	Group    string       `json:"group"`
	Match    []matcherSet `json:"match"`
	Handle   []handler    `json:"handle"`
	Terminal bool         `json:"terminal"`
}

// matcherSet is a set of matchers, all of which must match.
type matcherSet struct {
	// hosts are those of the host matcher, which is nil where there is none.
	hosts []string
	// rest are the other matchers, by name.
	rest map[string]json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *matcherSet) UnmarshalJSON(raw []byte) error {
	if err := json.Unmarshal(raw, &m.rest); err != nil {
		return err
	}
	if list, ok := m.rest["host"]; ok {
		if err := json.Unmarshal(list, &m.hosts); err != nil {
			return err
		}
		for i, host := range m.hosts {
			m.hosts[i] = plain(host)
		}
		delete(m.rest, "host")
	}
	return nil
}

// hosts returns the hosts that a route is for, or nil where it is for any.
func (r *route) hosts() (hosts []string) {
	for _, set := range r.Match {
		if set.hosts == nil {
			return nil
		}
		hosts = append(hosts, set.hosts...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// handler is what is asked of the JSON of a handler.
type handler struct {
	Name string `json:"handler"`
	Declaration
	Routes []route `json:"routes"`
	// Invokes is the named route that an invoke handler stands for.
	Invokes string `json:"-"`
	// HandleResponse is that of reverse_proxy and intercept.
	HandleResponse []struct {
		Routes []route `json:"routes"`
	} `json:"handle_response"`

	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler. What cannot be read is for Caddy to refuse, or means
// something else with another module.
func (h *handler) UnmarshalJSON(raw []byte) error {
	type fields handler
	var all fields
	if json.Unmarshal(raw, &all) != nil {
		all = fields{}
		var name struct {
			Name string `json:"handler"`
		}
		_ = json.Unmarshal(raw, &name)
		all.Name = name.Name
	}
	*h = handler(all)
	h.raw = slices.Clone(raw)
	if h.Name == "invoke" {
		var options struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(raw, &options)
		h.Invokes = options.Name
	}
	return nil
}

// goesOn reports whether there are routes for the response that a proxy gets, behind which it may
// go on to the next handler.
func (h *handler) goesOn() bool {
	for _, response := range h.HandleResponse {
		if len(response.Routes) > 0 {
			return true
		}
	}
	return false
}

// encode returns a value as JSON, and null where it has none.
func encode(value any) json.RawMessage {
	encoded, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return encoded
}

// canonical returns JSON in a form that is the same for the same values.
func canonical(raw json.RawMessage) json.RawMessage {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return raw
	}
	return encode(value)
}
