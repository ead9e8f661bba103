#!/bin/sh
# Packets to the Service's addresses stay on this node as long as its own server is ready, and go to the Service else.
# `rules.sh begin`: what a Pod before this one has left is taken back, and the addresses are there to be bound.
# `rules.sh run`: until SIGTERM, with which all is taken back.
set -euf
: "${SERVICE:?the address of the Service kube-dns, or one of each family with a comma between them}"
: "${LOCAL:?the link-local address of the server}"
SERVER=http://$LOCAL:8080

refuse() {
  echo "SERVICE: no IP address: $1" >&2
  exit 2
}

ADDRESSES=$(printf %s "$SERVICE" | tr , ' ')
QUESTIONS=
ANSWERS=
for address in $ADDRESSES; do
  case $address in
  *[!0-9a-fA-F:.]*) refuse "$address" ;;
  *:*) family=ip6 ;;
  *[!0-9.]*) refuse "$address" ;;
  *.*.*.*) family=ip ;;
  *) refuse "$address" ;;
  esac
  QUESTIONS="$QUESTIONS
    $family daddr $address udp dport 53 notrack
    $family daddr $address tcp dport 53 notrack"
  ANSWERS="$ANSWERS
    $family saddr $address udp sport 53 notrack
    $family saddr $address tcp sport 53 notrack"
done
[ -n "$ANSWERS" ] || refuse "$SERVICE"

# A table that is not there cannot be deleted.
NOTHING="
add table inet tidegate_node_dns
delete table inet tidegate_node_dns"
# Always, or an answer that leaves after the questions' rules are gone would begin a connection that connection tracking
# knows: what its client asks from the same port would be of it, and kube-proxy's rules would never see that.
ANSWERS="
table inet tidegate_node_dns {
  chain answers {
    type filter hook output priority raw; policy accept;$ANSWERS
  }
}"
# Before connection tracking, so that kube-proxy's rules, of iptables or of nftables, never see the packets.
QUESTIONS="
table inet tidegate_node_dns {
  chain questions {
    type filter hook prerouting priority raw; policy accept;$QUESTIONS
  }
  chain own_questions {
    type filter hook output priority raw; policy accept;$QUESTIONS
  }
}"

# All of it or nothing.
write() { printf '%s\n' "$1" | nft -f -; }

shown() { nft list table inet tidegate_node_dns 2>/dev/null || true; }

# Has these rules and no others: what is shown is compared with what was shown when they were written.
written=
seen=
set_rules() {
  if [ "$1" != "$written" ] || [ "$(shown)" != "$seen" ]; then
    write "$NOTHING$1" || return 1
    written=$1
    seen=$(shown)
  fi
}

# Where an address is: devices of this node, one a line.
devices() { ip -o address show to "$1" | awk '{print $2}'; }

# Never the node's own choice for what it sends to others: of the scope of this host, or deprecated where there is no such
# scope (RFC 6724, section 5, rule 3).
add_address() {
  case $1 in
  *:*) ip -6 address add "$1/128" dev lo preferred_lft 0 ;;
  *) ip -4 address add "$1/32" dev lo scope host ;;
  esac
}

delete_address() {
  case $1 in
  *:*) ip -6 address del "$1/128" dev lo ;;
  *) ip -4 address del "$1/32" dev lo ;;
  esac
}

is_local() { devices "$1" | grep -qx lo; }

# kube-proxy in its IPVS mode has all addresses of Services on kube-ipvs0, and takes packets to them before any rule of ours.
is_ours() {
  other=$(devices "$1" | grep -vx lo) || return 0
  echo "$1 is on $other: kube-proxy in IPVS mode and other DNS on the node are not supported, use $LOCAL alone" >&2
  return 1
}

have_addresses() {
  for address in $ADDRESSES; do
    is_ours "$address" || return 1
  done
  for address in $LOCAL $ADDRESSES; do
    is_local "$address" || add_address "$address" || return 1
  done
}

# SIGKILL, since what is ignored at the end, as SIGTERM is, is ignored by programs that are started then too.
answers() { timeout -s KILL 2 wget -q -O /dev/null "$SERVER/$1"; }

pause() {
  # A signal ends the wait, and not the sleep.
  sleep 1 &
  wait $!
}

# The Service answers from here on. The addresses stay as long as the server does, which has answers to send from them, and
# not longer: what the node itself asks would leave with one as its source. One that does not end is waited for 24 s at most.
end() {
  set_rules "$ANSWERS"
  turns=0
  while [ $turns -lt 8 ] && answers health; do
    turns=$((turns + 1))
    pause
  done
  for address in $ADDRESSES; do
    if is_local "$address"; then delete_address "$address"; fi
  done
  write "$NOTHING"
}

give_up() {
  write "$NOTHING"
  exit 1
}

case "${1:-}" in
begin)
  # An address that is none is told here, before anything depends on it.
  printf '%s\n' "$ANSWERS$QUESTIONS" | nft -c -f -
  write "$NOTHING"
  have_addresses
  ;;
run)
  trap 'trap "" TERM INT; end; exit 0' TERM INT
  while :; do
    # Looked at each time: others may have taken away an address, a rule, or all of them with `nft flush ruleset`. What
    # cannot be set right ends the container, which the Pod then tells.
    have_addresses || give_up
    wanted=$ANSWERS
    if answers ready; then wanted=$ANSWERS$QUESTIONS; fi
    set_rules "$wanted" || give_up
    pause
  done
  ;;
*)
  echo "rules.sh begin|run" >&2
  exit 2
  ;;
esac
