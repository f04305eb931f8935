package diagnose

import (
	"strings"
	"unicode"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers
	drop  int  // the column with the lowest number is left out first; 0: it stays
}

const gap = 2

// layout writes a table with aligned columns. No text is cut: columns are left out
// until a line fits, or none is left that may go.
func layout(columns []column, rows [][]string, style Style) string {
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	widths := make([]int, len(columns))
	cells := make([][]string, 0, len(rows)+1)
	for _, row := range append([][]string{titles}, rows...) {
		clean := make([]string, len(row))
		for i, text := range row {
			clean[i] = printable.Text(text)
			widths[i] = max(widths[i], displayWidth(clean[i]))
		}
		cells = append(cells, clean)
	}
	if style.Width > 0 {
		leaveOut(columns, widths, style.Width)
	}
	var b strings.Builder
	for n, row := range cells {
		line := ""
		for i, text := range row {
			if widths[i] == 0 {
				continue
			}
			blanks := strings.Repeat(" ", widths[i]-displayWidth(text))
			if n > 0 && columns[i].title == "STATE" {
				text = style.paint(text, text)
			}
			if columns[i].right {
				text, blanks = blanks+text, ""
			}
			line += text + blanks + strings.Repeat(" ", gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// leaveOut sets the widths of columns that are left out to 0.
func leaveOut(columns []column, widths []int, width int) {
	excess := -gap - width
	for _, w := range widths {
		excess += w + gap
	}
	for n := 1; excess > 0 && n < len(columns); n++ {
		for i, c := range columns {
			if c.drop == n {
				excess -= widths[i] + gap
				widths[i] = 0
			}
		}
	}
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
