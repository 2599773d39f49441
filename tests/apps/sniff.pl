# Perl's Net::Pcap, with a callback and a savefile.
use strict;
use warnings;
use Net::Pcap;

my $error = "";
my $capture = pcap_open_live($ARGV[0], 65535, 1, 100, \$error) or die $error;
$| = 1;
my $savefile = pcap_dump_open($capture, "file");
pcap_loop($capture, -1, sub {
	pcap_dump($savefile, $_[1], $_[2]);
	pcap_dump_flush($savefile);
	print "packet of $_[1]{len}\n";
}, 0);
