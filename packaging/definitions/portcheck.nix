# Nix. Not tested. nix-build -E 'with import <nixpkgs> {}; callPackage ./portcheck.nix {}'
{ stdenv, fetchurl, lib }:

let
  sources = {
    x86_64-linux = {
      url = "@DOWNLOAD@/portcheck-@VERSION@-x86_64-unknown-linux-musl.tar.gz";
      sha256 = "@SHA256 x86_64-unknown-linux-musl.tar.gz@";
    };
    aarch64-linux = {
      url = "@DOWNLOAD@/portcheck-@VERSION@-aarch64-unknown-linux-musl.tar.gz";
      sha256 = "@SHA256 aarch64-unknown-linux-musl.tar.gz@";
    };
  };
in
stdenv.mkDerivation {
  pname = "portcheck";
  version = "@VERSION@";
  src = fetchurl sources.${stdenv.hostPlatform.system};
  installPhase = ''
    install -Dm755 portcheck $out/bin/portcheck
    cp -r share $out/share
  '';
  meta = {
    description = "Tells who holds a port, why it cannot be bound, and which one is free";
    homepage = "@URL@";
    license = with lib.licenses; [ mit asl20 ];
    platforms = builtins.attrNames sources;
    mainProgram = "portcheck";
  };
}
