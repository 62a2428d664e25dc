package frame

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestExtensions(t *testing.T) {
	const hopByHop, destination, route = "2b00 0104 0000 0000", "0600 0104 0000 0000", "3c02 0001 0000 0000 20010db8 00000000 00000000 00000001"
	for name, test := range map[string]struct {
		protocol uint8
		data     string
		types    []uint8
		want     Extensions // without Type and Header
	}{
		"none":              {6, "abcd", nil, Extensions{Protocol: 6, Rest: []byte{0xab, 0xcd}}},
		"nothing behind":    {59, "", nil, Extensions{Protocol: 59}}, // No Next Header: RFC 8200, section 4.7
		"three":             {0, hopByHop + route + destination + "ab", []uint8{0, 43, 60}, Extensions{Protocol: 6, Rest: []byte{0xab}}},
		"authentication":    {51, "1104 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 ab", []uint8{51}, Extensions{Protocol: 17, Rest: []byte{0xab}}},
		"first fragment":    {44, "1100 0001 0000 0007 ab", []uint8{44}, Extensions{Protocol: 17, Rest: []byte{0xab}, IsFragment: true}},
		"middle fragment":   {44, "3c00 0009 0000 0007" + destination, []uint8{44}, Extensions{Protocol: 60, Rest: []byte{6, 0, 1, 4, 0, 0, 0, 0}, IsFragment: true, IsLater: true}},
		"last fragment":     {44, "1100 0008 0000 0007 ab", []uint8{44}, Extensions{Protocol: 17, Rest: []byte{0xab}, IsFragment: true, IsLater: true}},
		"atomic fragment":   {44, "1100 0000 0000 0007 ab", []uint8{44}, Extensions{Protocol: 17, Rest: []byte{0xab}}}, // RFC 6946
		"cut in the fields": {60, "0600 0104 0000 00", nil, Extensions{Protocol: 60, Rest: []byte{6, 0, 1, 4, 0, 0, 0}, IsCut: true}},
		"cut in an option":  {60, "0601 0104 0000 0000", nil, Extensions{Protocol: 60, Rest: []byte{6, 1, 1, 4, 0, 0, 0, 0}, IsCut: true}},
		"cut later":         {0, hopByHop + "3c02", []uint8{0}, Extensions{Protocol: 43, Rest: []byte{0x3c, 2}, IsCut: true}},
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(test.data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		var types []uint8
		var passed []byte
		got := Extensions{Protocol: test.protocol, Rest: data}
		for got.Next() {
			types, passed = append(types, got.Type), append(passed, got.Header...)
		}
		want := test.want
		if got.Protocol != want.Protocol || !slices.Equal(got.Rest, want.Rest) || got.IsFragment != want.IsFragment || got.IsLater != want.IsLater || got.IsCut != want.IsCut || !slices.Equal(types, test.types) {
			t.Errorf("%s: headers %v, then %+v, wanted headers %v, then %+v", name, types, got, test.types, want)
		}
		if passed = append(passed, got.Rest...); !slices.Equal(passed, data) {
			t.Errorf("%s: passed %x, wanted %x", name, passed, data)
		}
		if got.Next() {
			t.Errorf("%s: goes on after its end", name)
		}
	}
}
