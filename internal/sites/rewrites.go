package sites

import (
	"encoding/json"
	"slices"
	"strings"
)

// rewrite is what is asked of a handler that changes requests.
type rewrite struct {
	Method          string            `json:"method"`
	URI             string            `json:"uri"`
	StripPathPrefix string            `json:"strip_path_prefix"`
	StripPathSuffix string            `json:"strip_path_suffix"`
	URISubstring    []json.RawMessage `json:"uri_substring"`
	PathRegexp      []json.RawMessage `json:"path_regexp"`
}

// rewrite makes the requests what they were before a handler of a route with these matchers. where
// is the condition on which those that are not changed come to it.
func (w *walk) rewrite(h handler, match []matcherSet, where condition) {
	if hasMatcher(match, "file") {
		// What goes by files, as try_files does, leads to the files.
		return
	}
	var r rewrite
	_ = json.Unmarshal(h.raw, &r)
	w.anyMethod = w.anyMethod || r.Method != ""
	target, _, _ := strings.Cut(r.URI, "?")
	switch {
	case len(r.URISubstring) > 0 || len(r.PathRegexp) > 0 || r.StripPathSuffix != "":
		w.anyPath = true
	case target != "" && !w.mayBe(target):
		// It leads elsewhere.
		w.taken(where)
	case target != "":
		w.anyPath = true
	case r.StripPathPrefix != "":
		w.unstrip(r.StripPathPrefix, match)
	}
}

// mayBe reports whether a URI may have one of the paths.
func (w *walk) mayBe(target string) bool {
	known, _, open := strings.Cut(target, "{")
	return w.anyPath || slices.ContainsFunc(w.paths, func(path string) bool {
		return path == known || open && strings.HasPrefix(path, known)
	})
}

// unstrip adds the paths from which a prefix is taken on the condition of matchers.
func (w *walk) unstrip(prefix string, match []matcherSet) {
	if strings.ContainsAny(prefix, "{%") {
		w.anyPath = true
		return
	}
	prefix = "/" + strings.TrimPrefix(prefix, "/")
	longer := w.requests
	longer.paths, longer.stripped = nil, true
	for _, path := range w.paths {
		// The slash that a path begins with is added where the prefix has taken it.
		longer.paths = append(longer.paths, prefix+path, prefix+strings.TrimPrefix(path, "/"))
	}
	if longer.matches(match).never {
		return
	}
	w.stripped = true
	w.paths = union(w.paths, longer.within(match).paths)
}

// onHost reports whether matchers may match by the requests' host, and by whatever path.
func (w *walk) onHost(match []matcherSet) bool {
	onAnyPath := w.requests
	onAnyPath.anyPath = true
	return !onAnyPath.matches(match).never
}

// hasMatcher reports whether one of the sets has a matcher of that name.
func hasMatcher(sets []matcherSet, name string) bool {
	return slices.ContainsFunc(sets, func(set matcherSet) bool { return set.rest[name] != nil })
}
