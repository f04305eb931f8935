package diagnose

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// column is one column of a table.
type column struct {
	title   string
	right   bool // numbers
	keepEnd bool // of a text that is cut the end is kept: the end of a path says more
	mayGo   bool // the column is left out where not even least is there for it
	// least is the width down to which the column is cut; 0 means that it never
	// is. turn says which column is cut first.
	least, turn int
}

const (
	gap  = 2
	mark = "..." // what was cut away
)

// layout writes a table with aligned columns. A line is longer than width only
// where nothing is left to be cut.
func layout(columns []column, rows [][]string, width int) string {
	cells := make([][]string, 0, len(rows)+1)
	var titles []string
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	cells = append(cells, titles)
	for _, row := range rows {
		clean := make([]string, len(row))
		for i, text := range row {
			clean[i] = printable.Text(text)
		}
		cells = append(cells, clean)
	}
	widths := make([]int, len(columns))
	for _, row := range cells {
		for i, text := range row {
			widths[i] = max(widths[i], displayWidth(text))
		}
	}
	if width > 0 {
		shrink(columns, widths, width)
	}
	var b strings.Builder
	for _, row := range cells {
		writeRow(&b, columns, widths, row)
	}
	return b.String()
}

// shrink cuts columns, each in its turn, until a line fits. A width of 0 stands
// for a column that is left out.
func shrink(columns []column, widths []int, width int) {
	excess := -gap - width
	for _, w := range widths {
		excess += w + gap
	}
	var order []int
	for i, c := range columns {
		if c.least > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return columns[a].turn - columns[b].turn })
	for _, i := range order {
		spare := widths[i] - columns[i].least
		switch {
		case excess <= 0:
			return
		case columns[i].mayGo && spare < excess:
			excess -= widths[i] + gap
			widths[i] = 0
		case spare > 0:
			cut := min(spare, excess)
			excess -= cut
			widths[i] -= cut
		}
	}
}

func writeRow(b *strings.Builder, columns []column, widths []int, row []string) {
	line := ""
	for i, text := range row {
		if widths[i] == 0 {
			continue
		}
		text = cut(text, widths[i], columns[i].keepEnd)
		blanks := strings.Repeat(" ", widths[i]-displayWidth(text))
		if columns[i].right {
			text = blanks + text
		} else {
			text += blanks
		}
		line += text + strings.Repeat(" ", gap)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// cut shortens a text to a width, with a mark where something is missing.
func cut(text string, width int, keepEnd bool) string {
	excess := displayWidth(text) - width
	if excess <= 0 {
		return text
	}
	excess += len(mark)
	if keepEnd {
		for excess > 0 {
			r, size := utf8.DecodeRuneInString(text)
			text = text[size:]
			excess -= runeWidth(r)
		}
		return mark + text
	}
	for excess > 0 {
		r, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
		excess -= runeWidth(r)
	}
	return text + mark
}

// displayWidth is the number of a terminal's columns that a text takes.
func displayWidth(text string) (width int) {
	for _, r := range text {
		width += runeWidth(r)
	}
	return width
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// wide are the characters that take two columns: those of East Asian scripts, and
// pictures (Unicode's EastAsianWidth.txt, by blocks).
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1},
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}
