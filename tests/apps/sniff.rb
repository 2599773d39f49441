# Ruby's pcaprub, packet by packet.
require "pcaprub"

$stdout.sync = true
capture = PCAPRUB::Pcap.open_live(ARGV[0], 65535, true, 100)
seen = 0
while seen < 5
  packet = capture.next
  next unless packet

  puts "packet of #{packet.length}"
  seen += 1
end
