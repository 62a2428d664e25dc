package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// writeSensorLogs writes logs as Suricata and Zeek do.
func writeSensorLogs(t *testing.T, folder string, alerts, connections []string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string][]string{"eve.json": alerts, "conn.log": connections} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// alertsOf are three alerts among other events. What run is of differs from one run to the
// next.
func alertsOf(run string) []string {
	event := func(kind, source string, port int, more string) string {
		return fmt.Sprintf(`{"timestamp":"2026-01-01T00:00:0%s.000000+0000","flow_id":%s77,"event_type":%q,"src_ip":%q,"src_port":%d,"dest_ip":"10.0.0.2","dest_port":80,"proto":"TCP"%s}`,
			run, run, kind, source, port, more)
	}
	alert := func(source string, port, signature int) string {
		return event("alert", source, port, fmt.Sprintf(`,"alert":{"action":"allowed","gid":1,"signature_id":%d,"rev":%s,"signature":"a \"b\""}`, signature, run))
	}
	return []string{
		alert("10.0.0.1", 1000, 2001), alert("10.0.0.1", 1000, 2001), event("flow", "10.0.0.1", 1000, ""),
		alert("10.0.0.3", 2000, 2002), event("stats", "10.0.0.9", 0, `,"uptime":`+run),
	}
}

// connectionsOf are two connections.
func connectionsOf(run string) []string {
	return []string{
		`{"ts":1.` + run + `,"uid":"C` + run + `","id.orig_h":"10.0.0.1","id.orig_p":1000,"id.resp_h":"10.0.0.2","id.resp_p":80,"proto":"tcp","service":"http","duration":0.` + run + `,"orig_bytes":10,"resp_bytes":20,"conn_state":"SF","history":"ShADadFf","orig_pkts":6,"resp_pkts":5}`,
		`{"ts":2.` + run + `,"uid":"D` + run + `","id.orig_h":"10.0.0.1","id.orig_p":53,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","conn_state":"S0","history":"D","orig_pkts":1,"resp_pkts":0}`,
	}
}

// recipe finds the example of a page that begins with a word.
func recipe(t *testing.T, page, begin string) string {
	t.Helper()
	for _, e := range examplesOf(t, page) {
		if strings.HasPrefix(e.text, begin) {
			return e.text
		}
	}
	t.Fatalf("%s: no example begins with %q", page, begin)
	return ""
}

// The recipes that compare the logs of a sensor see every alert and connection that differs,
// and nothing that differs from run to run.
func TestSameAlertsAndConnections(t *testing.T) {
	lab.NeedProgram(t, "jq", "diff")
	recipes := map[string]string{}
	for _, begin := range []string{"alerts()", "connections()"} {
		recipes[begin] = recipe(t, "../../man/pcap-replay.7", begin)
	}
	reversed := func(lines []string) (all []string) {
		for _, line := range lines {
			all = append([]string{line}, all...)
		}
		return all
	}
	replaced := func(lines []string, from, to string) []string {
		return strings.Split(strings.Replace(strings.Join(lines, "\n"), from, to, 1), "\n")
	}
	alerts, connections := alertsOf("2"), connectionsOf("2")
	for _, test := range []struct {
		name, recipe        string
		alerts, connections []string
		same                bool
	}{
		{"another run", "alerts()", reversed(alerts), nil, true},
		{"one less", "alerts()", alerts[1:], nil, false},
		{"one more", "alerts()", append(alerts[:1:1], alerts...), nil, false},
		{"another flow", "alerts()", replaced(alerts, `"src_port":2000`, `"src_port":2001`), nil, false},
		{"another signature", "alerts()", replaced(alerts, `"signature_id":2002`, `"signature_id":2003`), nil, false},
		{"no alerts", "alerts()", alerts[2:3], nil, false},
		{"another run", "connections()", nil, reversed(connections), true},
		{"one less", "connections()", nil, connections[1:], false},
		{"a lost packet", "connections()", nil, replaced(connections, `"orig_pkts":6`, `"orig_pkts":5`), false},
		{"another service", "connections()", nil, replaced(connections, `"service":"http",`, ``), false},
	} {
		t.Run(test.recipe+" "+test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			writeSensorLogs(t, "file", alertsOf("1"), connectionsOf("1"))
			writeSensorLogs(t, "wire", test.alerts, test.connections)
			output, err := exec.Command("bash", "-c", recipes[test.recipe]).CombinedOutput()
			if (err == nil) != test.same {
				t.Errorf("same is %v:\n%s", err == nil, output)
			}
		})
	}
	t.Run("nothing on either side", func(t *testing.T) {
		t.Chdir(t.TempDir())
		writeSensorLogs(t, "file", nil, nil)
		writeSensorLogs(t, "wire", nil, nil)
		for begin, text := range recipes {
			if output, err := exec.Command("bash", "-c", text).CombinedOutput(); err == nil {
				t.Errorf("%s: passed:\n%s", begin, output)
			}
		}
	})
}

// alertRule alerts on every datagram of the set.
const alertRule = `alert udp any any -> 10.0.0.2 20000 (msg:"test"; sid:1000001; rev:1;)`

// Where Suricata is installed, a file and its replay give the same alerts by the recipe.
func TestSuricataAlertsOnTheWireAsOnTheFile(t *testing.T) {
	if _, err := exec.LookPath("suricata"); err != nil {
		t.Log("no suricata") // it is large, and seldom installed where tests run
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("Suricata captures as root")
	}
	lab.NeedProgram(t, "jq", "diff", "ip", "unshare")
	page := "../../man/pcap-replay.7"
	recipes := []string{recipe(t, page, "pcap-merge -o all.pcap /data/pcaps\nmkdir"), recipe(t, page, "alerts()")}
	linkShims(t, linkTools(t))
	makeSet(t, composedSet)
	if err := os.WriteFile("rules", []byte(alertRule+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, text := range recipes {
		text = strings.NewReplacer("/data/pcaps", "captures", "suricata -k none", "suricata -k none -S rules").Replace(text)
		if output, err := exec.Command("bash", "-e", "-o", "pipefail", "-c", text).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", text, err, output)
		}
	}
}
