# Perl's Net::Pcap, with a callback.
use strict;
use warnings;
use Net::Pcap;

my $error = "";
my $capture = pcap_open_live($ARGV[0], 65535, 1, 100, \$error) or die $error;
$| = 1;
pcap_loop($capture, 5, sub { print "packet of $_[1]{len}\n" }, 0);
