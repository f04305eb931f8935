# Stands for the parts of nixpkgs that packaging/nix uses, which are not to be had without it.
{ packaging, path, cache }:

let
  merge = builtins.foldl' (a: b: a // b // builtins.mapAttrs (name: value:
    if builtins.isAttrs value && builtins.isAttrs (a.${name} or null) then merge [ a.${name} value ] else value) b) { };
  lib = {
    fileContents = file: builtins.head (builtins.match "([^\n]*)\n*" (builtins.readFile file));
    licenses.bsd3 = "BSD-3-Clause";
    platforms.linux = [ "x86_64-linux" ];
    types = { bool = "bool"; package = "package"; };
    mkEnableOption = description: { inherit description; default = false; };
    mkOption = option: option;
    mkIf = condition: value: if condition then value else { };
    mkMerge = merge;
    mkForce = value: value;
    literalExpression = text: text;
  };

  # buildGoModule calls the two phases in a copy of the source.
  buildGoModule = { pname, version, src, vendorHash, buildPhase, installPhase, env, doCheck, meta }:
    assert vendorHash == null && meta.mainProgram == "fusermount3";
    derivation (env // {
      name = "${pname}-${version}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      inherit src buildPhase installPhase;
      PATH = path;
      GOCACHE = cache;
      args = [ "-euc" ''
        runHook() { :; }
        cp -r "$src" source
        chmod -R u+w source
        cd source
        eval "$buildPhase"
        eval "$installPhase"
      '' ];
    });

  callPackage = file: arguments: import file ({ inherit lib buildGoModule; } // arguments);
  module = settings: (import (packaging + "/nix/module.nix") {
    inherit lib;
    pkgs = { inherit callPackage; };
    config.programs.go-fusermount = { package = "PACKAGE"; } // settings;
  });
in
{
  package = callPackage (packaging + "/nix/package.nix") { };
  options = builtins.mapAttrs (name: option: option.default) (removeAttrs (module { }).options.programs.go-fusermount [ "package" ]);
  off = (module { enable = false; wrapper = true; service = true; }).config;
  wrapper = (module { enable = true; wrapper = true; service = false; }).config;
  service = (module { enable = true; wrapper = false; service = true; }).config;
  neither = (module { enable = true; wrapper = false; service = false; }).config;
}
