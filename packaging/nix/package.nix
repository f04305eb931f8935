# The programs, from a release's tarball:
#   pkgs.callPackage ./packaging/nix/package.nix { }
# The store has no set-uid files: module.nix makes the wrappers.
{
  lib,
  buildGoModule,
  src ? ../..,
}:

buildGoModule {
  pname = "go-fusermount";
  version = lib.fileContents (src + "/VERSION");
  inherit src;

  # The tarball has the modules in its folder vendor.
  vendorHash = null;

  # The project's Makefile knows the entry point of the set-uid program.
  buildPhase = ''
    runHook preBuild
    make build
    runHook postBuild
  '';

  # Mode 0755: in the store it has no privileges.
  installPhase = ''
    runHook preInstall
    make install DESTDIR=$PWD/from PREFIX=$out MODE=none UDEV=no
    cp -r from$out $out
    runHook postInstall
  '';

  env.CGO_ENABLED = "0";
  env.GOFLAGS = "-mod=vendor";
  doCheck = false; # the tests need /dev/fuse and several users

  meta = {
    description = "fusermount3 in Go: mount FUSE file systems without being root";
    homepage = "https://github.com/go-fusermount/fusermount";
    license = lib.licenses.bsd3;
    platforms = lib.platforms.linux;
    mainProgram = "fusermount3";
  };
}
