package documents

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLinksLeadSomewhere holds that every link of a page to another one leads to a file that there
// is, and every anchor to a heading that there is.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := make(map[string]*Page)
	for _, page := range All(t) {
		pages[page.Path] = page
	}
	for _, page := range pages {
		for _, link := range page.Links {
			target, err := url.Parse(link.Target)
			if err != nil {
				t.Errorf("%s: %v", link.Place, err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			file := page.Path
			if target.Path != "" {
				file = path.Join(path.Dir(page.Path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(Root(t), filepath.FromSlash(file))); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s: there is no %s", link.Place, file)
				continue
			}
			if target.Fragment != "" && !hasAnchor(pages[file], target.Fragment) {
				t.Errorf("%s: %s has no heading #%s", link.Place, file, target.Fragment)
			}
		}
	}
}

func hasAnchor(page *Page, anchor string) bool {
	return page != nil && slices.ContainsFunc(page.Headings, func(h Heading) bool { return h.Anchor == anchor })
}

// longestLine is how many characters a line of prose has at most.
const longestLine = 125

// TestProseIsWrapped holds that the lines of the pages for users can be read in a terminal, and that a
// change of a word shows as one. Lines of code, tables, and what cannot be wrapped may be longer.
func TestProseIsWrapped(t *testing.T) {
	for _, page := range Manual(t) {
		if page.Path == "docs/architecture.md" || strings.HasPrefix(page.Path, "docs/decisions/") {
			continue
		}
		inCode := false
		number := 0
		for line := range strings.Lines(read(t, page.Path)) {
			number++
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				inCode = !inCode
			}
			isLink := strings.HasPrefix(line, "- [`") && strings.HasSuffix(line, ")")
			if !inCode && !isLink && !strings.HasPrefix(line, "|") && utf8.RuneCountInString(line) > longestLine {
				t.Errorf("%s:%d: a line of %d characters", page.Path, number, utf8.RuneCountInString(line))
			}
		}
	}
}

// TestPageIsRead holds what the tests of the pages build on.
func TestPageIsRead(t *testing.T) {
	page := parse("docs/page.md", []byte("# One `two`\n\nA [link](a.md#b), `[none](c.md)`.\n\n"+
		"```sh\nls\n```\n\n## Who's in?\n\n![p](p.png) <img src=\"q.png\">\n\n    indented\n\n## Who's in?\n\nlast\n"))
	var links, anchors, blocks []string
	for _, link := range page.Links {
		links = append(links, link.Place+" "+link.Target)
	}
	for _, heading := range page.Headings {
		anchors = append(anchors, heading.Anchor)
	}
	for _, block := range page.Blocks {
		blocks = append(blocks, block.Place+" "+block.Language+" "+block.Text)
	}
	for _, test := range []struct {
		what      string
		got, want []string
	}{
		{"links", links, []string{"docs/page.md:3 a.md#b", "docs/page.md:11 p.png", "docs/page.md:11 q.png"}},
		{"anchors", anchors, []string{"one-two", "whos-in", "whos-in-1"}},
		{"blocks", blocks, []string{"docs/page.md:6 sh ls\n", "docs/page.md:13  indented\n"}},
		{"sections", []string{page.section(2)}, []string{"\n\nlast\n"}},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: got %q, want %q", test.what, test.got, test.want)
		}
	}
}
