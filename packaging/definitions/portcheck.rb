# Homebrew. Not tested.
class Portcheck < Formula
  desc "Tells who holds a port, why it cannot be bound, and which one is free"
  homepage "@URL@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@DOWNLOAD@/portcheck-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256 aarch64-apple-darwin.tar.gz@"
    end
    on_intel do
      url "@DOWNLOAD@/portcheck-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256 x86_64-apple-darwin.tar.gz@"
    end
  end
  on_linux do
    on_arm do
      url "@DOWNLOAD@/portcheck-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 aarch64-unknown-linux-musl.tar.gz@"
    end
    on_intel do
      url "@DOWNLOAD@/portcheck-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256 x86_64-unknown-linux-musl.tar.gz@"
    end
  end

  def install
    bin.install "portcheck"
    man1.install Dir["share/man/man1/*.1"]
    bash_completion.install "share/bash-completion/completions/portcheck"
    zsh_completion.install "share/zsh/site-functions/_portcheck"
    fish_completion.install "share/fish/vendor_completions.d/portcheck.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/portcheck --version")
  end
end
