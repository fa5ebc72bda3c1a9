package moving

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// The kinds of files that are read.
const (
	kindNginx   = "nginx"
	kindApache  = "Apache"
	kindPM2     = "PM2"
	kindNode    = "Node.js"
	kindHAProxy = "HAProxy"
	kindCompose = "compose"
)

// readers are how each kind of file is read.
var readers = map[string]func(s *setup, name, text string) error{
	kindNginx:   (*setup).readNginx,
	kindApache:  (*setup).readApache,
	kindPM2:     (*setup).readPM2,
	kindNode:    (*setup).readNode,
	kindHAProxy: (*setup).readHAProxy,
	kindCompose: (*setup).readCompose,
}

// kinds say by which signs a file is known, in the order in which they are looked for.
var kinds = []struct {
	kind, signs string
	extensions  string
	content     *regexp.Regexp
}{
	{kindPM2, "a list of `apps`", ".js .cjs .mjs .json .ts", regexp.MustCompile(`["']?\bapps["']?\s*:|^\s*\[\s*\{[^}]*"script"`)},
	{kindNode, "`socket.io`", ".js .cjs .mjs .ts .mts .cts", regexp.MustCompile(`socket\.io|WebSocketGateway`)},
	{kindCompose, "`services:`", ".yml .yaml", regexp.MustCompile(`(?m)^services[ \t]*:`)},
	{kindHAProxy, "sections such as `frontend <name>` and `backend <name>`", "",
		regexp.MustCompile(`(?m)^(frontend|backend|listen)[ \t]+\S+[ \t]*(#.*)?$`)},
	{kindApache, "lines such as `<VirtualHost *:443>` or `ProxyPass /socket.io/ http://...`", "",
		regexp.MustCompile(`(?mi)^[ \t]*(<VirtualHost|<Location|<IfModule|<Directory|ProxyPass(Match)?[ \t]+\S+[ \t]+\S+[ \t]*[^;]*$|RewriteRule[ \t]|ServerRoot[ \t]|LoadModule[ \t])`)},
	{kindNginx, "blocks such as `server {` or `upstream name {`", "",
		regexp.MustCompile(`(?m)^[ \t]*(server|http|upstream[ \t]+\S+|location[ \t]+[^{;]+|map[ \t]+[^{;]+|stream|events)[ \t\n]*\{`)},
}

// kindOf returns what kind a file is of.
func kindOf(name, text string) (string, error) {
	extension := strings.ToLower(filepath.Ext(name))
	for _, each := range kinds {
		if each.extensions != "" && !strings.Contains(" "+each.extensions+" ", " "+extension+" ") || extension == "" && each.extensions != "" {
			continue
		}
		if each.content.MatchString(text) {
			return each.kind, nil
		}
	}
	var tried []string
	for _, each := range kinds {
		of := ""
		if each.extensions != "" {
			of = ", in a file " + strings.ReplaceAll(each.extensions, " ", " or ")
		}
		tried = append(tried, each.kind+" ("+each.signs+of+")")
	}
	return "", fmt.Errorf("%s is of no kind that is known; looked for the signs of %s", name, strings.Join(tried, ", "))
}
