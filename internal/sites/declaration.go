package sites

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// Declaration tells one handler in a Caddyfile from the others: Caddy may provision it on several
// servers.
type Declaration struct {
	// At is its place, as file:line.
	At string `json:"declared_at"`
	// In is what [BlockOf] says of the site block that it is in.
	In string `json:"declared_in"`
}

// BlockOf returns a digest of the addresses of the site block in which a directive stands: the same
// for the directives of that block, and for those of no other, in whichever Caddyfile. It is ""
// where Caddy makes one server of the block, so that nobody need know, or where it is not known.
func BlockOf(helper httpcaddyfile.Helper) string {
	// Caddy has the block in a field that it shows to nobody.
	block := reflect.ValueOf(helper).FieldByName("parentBlock")
	if !block.IsValid() {
		return ""
	}
	keys := texts(block.FieldByName("Keys"))
	var binds [][]string
	segments := block.FieldByName("Segments")
	for i := 0; segments.IsValid() && i < segments.Len(); i++ {
		if words := texts(segments.Index(i)); len(words) > 0 && words[0] == "bind" {
			binds = append(binds, words)
		}
	}
	binding := helper.Option("default_bind")
	if len(keys) == 0 || len(keys) == 1 && binds == nil && binding == nil {
		return ""
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %v %v %v", keys, binds, binding,
		helper.Option("http_port"), helper.Option("https_port")))
	return hex.EncodeToString(digest[:8])
}

// texts returns the texts of a list of tokens.
func texts(tokens reflect.Value) (list []string) {
	for i := 0; tokens.IsValid() && i < tokens.Len(); i++ {
		if text := tokens.Index(i).FieldByName("Text"); text.IsValid() {
			list = append(list, text.String())
		}
	}
	return list
}
