#!/bin/sh
# Packets to the Service's address stay on this node as long as its own server is ready, and go to the Service else.
# `rules.sh begin`: what a Pod before this one has left is taken back, and the address is there to be bound.
# `rules.sh run`: until SIGTERM, with which all is taken back.
set -eu
: "${SERVICE:?the address of the Service kube-dns}"
case $SERVICE in
*[!0-9.]*)
  echo "SERVICE is no IPv4 address: $SERVICE" >&2
  exit 2
  ;;
esac
READY=${READY:-http://169.254.20.10:8080/ready}

# Before connection tracking, so that kube-proxy's rules, of iptables or of nftables, never see the packets.
RULES="
table ip tidegate_node_dns {
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    ip daddr $SERVICE udp dport 53 notrack
    ip daddr $SERVICE tcp dport 53 notrack
  }
  chain output {
    type filter hook output priority raw; policy accept;
    ip daddr $SERVICE udp dport 53 notrack
    ip daddr $SERVICE tcp dport 53 notrack
    ip saddr $SERVICE udp sport 53 notrack
    ip saddr $SERVICE tcp sport 53 notrack
  }
}"
# A table that is not there cannot be deleted.
NONE="
add table ip tidegate_node_dns
delete table ip tidegate_node_dns"

# All of it or nothing.
rule() { printf '%s\n' "$1" | nft -f -; }

has_address() { ip -4 address show dev lo | grep -qF "inet $SERVICE/32"; }

# Of the scope of this host, or the node would send from it over interfaces that have no address of their own.
add_address() { has_address || ip address add "$SERVICE/32" dev lo scope host; }

has_rules() { nft list tables ip | grep -qw tidegate_node_dns; }

take() { add_address && rule "$NONE$RULES"; }

# The address stays: a server that starts again has to bind it.
release() { rule "$NONE"; }

# Without the address too: what the node itself asks would leave with it as its source.
end() {
  release
  if has_address; then ip address del "$SERVICE/32" dev lo; fi
}

case "${1:-}" in
begin)
  release
  add_address
  ;;
run)
  trap 'end; exit 0' TERM INT
  while :; do
    # Looked at each time: others may have taken away the address, or all tables with `nft flush ruleset`. What cannot be
    # set right ends the container, which the Pod then tells.
    if wget -q -T 2 -O /dev/null "$READY"; then
      { has_address && has_rules; } || take || exit 1
    elif has_rules; then
      release
    fi
    # A signal ends the wait, and not the sleep.
    sleep 1 &
    wait $!
  done
  ;;
*)
  echo "rules.sh begin|run" >&2
  exit 2
  ;;
esac
