// Package tunnel takes packets out of tunnels, and puts them into tunnels.
//
// A [Decapsulator] replaces each packet that is in a tunnel by the packet inside. It knows
// VLAN tags, MPLS, PPPoE, GRE, ERSPAN, VXLAN, GENEVE, IP in IP and GTP-U.
package tunnel
